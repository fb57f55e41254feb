"""The checklist for a system. The failures for a new system list the files and entries that are missing."""

import json
import re

import pytest

from latchkey.systems import SYSTEMS
from latchkey.systems.readers import AssumedRole
from tests.contract.artifacts import OF_SYSTEMS, ROOT
from tests.contract.sample_requests import ONBOARDINGS
from tests.policies.test_golden_systems import DOCUMENTS
from tests.unit.samples import KINDS

systems = pytest.mark.parametrize("system", SYSTEMS)
# The kinds of resources of each system, as named in tests/unit/samples.py.
KINDS_OF = {system: [kind for kind, sample in KINDS.items() if sample["system"] == system] for system in SYSTEMS}


@systems
def test_a_system_has_its_own_module(system: str) -> None:
    assert OF_SYSTEMS[system].is_file()


@systems
def test_a_system_has_unit_tests(system: str) -> None:
    assert (ROOT / f"tests/unit/test_system_{OF_SYSTEMS[system].name}").is_file()


@systems
def test_a_system_has_golden_policies_for_every_kind_of_resource(system: str) -> None:
    has_role = isinstance(SYSTEMS[system].reader, AssumedRole)
    policies = {"key", *(["secret"] if SYSTEMS[system].secret else []), *(["role"] if has_role else [])}

    assert KINDS_OF[system]
    assert {f"{kind}/{policy}" for kind in KINDS_OF[system] for policy in policies} <= set(DOCUMENTS)


@systems
def test_a_system_has_a_sample_request_for_every_kind_of_resource(system: str) -> None:
    samples = {name.removeprefix("onboard-") for name, detail in ONBOARDINGS.items() if detail["system"] == system}

    assert set(KINDS_OF[system]) <= samples


@systems
def test_a_system_has_a_schema(system: str) -> None:
    schema = json.loads((ROOT / f"events/schemas/onboard-{system}.json").read_text())

    assert schema["properties"]["system"] == {"const": system}


@systems
def test_a_system_has_a_row_in_the_readme(system: str) -> None:
    assert re.search(rf"^\| `{system}` \|", (ROOT / "README.md").read_text(), re.MULTILINE)


@systems
def test_a_system_links_only_pages_of_its_vendor(system: str) -> None:
    vendors = ("https://docs.aws.amazon.com/", "https://experienceleague.adobe.com/")

    assert all(page.startswith(vendors) for page in SYSTEMS[system].documents)
