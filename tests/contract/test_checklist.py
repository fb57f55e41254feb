"""A system is finished when its artefacts are there: what fails here for a new one is its checklist."""

import json
import re

import pytest

from latchkey.systems import SYSTEMS
from latchkey.systems.readers import AssumedRole
from tests.contract.artefacts import OF_SYSTEMS, ROOT
from tests.contract.sent import ONBOARDINGS
from tests.policies.test_golden_systems import DOCUMENTS
from tests.unit.samples import KINDS

systems = pytest.mark.parametrize("system", SYSTEMS)
KINDS_OF = {system: [kind for kind, sample in KINDS.items() if sample["system"] == system] for system in SYSTEMS}


@systems
def test_a_system_has_a_file_of_its_own(system: str) -> None:
    assert OF_SYSTEMS[system].is_file()


@systems
def test_a_system_has_a_file_of_unit_tests(system: str) -> None:
    assert (ROOT / f"tests/unit/test_system_{OF_SYSTEMS[system].name}").is_file()


@systems
def test_a_system_has_golden_policies_of_every_kind(system: str) -> None:
    assert KINDS_OF[system]
    for kind in KINDS_OF[system]:
        by_role = isinstance(SYSTEMS[system].reader, AssumedRole)
        wanted = {"key", *(["secret"] if SYSTEMS[system].secret else []), *(["role"] if by_role else [])}
        assert {f"{kind}/{document}" for document in wanted} <= set(DOCUMENTS)


@systems
def test_a_system_has_a_ready_request_of_every_kind(system: str) -> None:
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
def test_every_document_of_a_system_is_a_page_of_its_maker(system: str) -> None:
    makers = ("https://docs.aws.amazon.com/", "https://experienceleague.adobe.com/")

    assert all(page.startswith(makers) for page in SYSTEMS[system].documents)
