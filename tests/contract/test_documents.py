"""What README.md shows is what there is: the request, the outcome, the picture, the tables and every link."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from latchkey.events.outcomes import AccessOnboarded, CheckResult, Resources
from latchkey.requests.parsing import parse_onboarding
from latchkey.systems import SYSTEMS
from tests.contract.artefacts import ROOT, TEMPLATE
from tests.contract.sent import ONBOARDINGS

README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), ROOT / "local_aws/README.md"]


def section(title: str) -> str:
    [found] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    text: str = found
    return text


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def rows(title: str) -> list[list[str]]:
    """The cells of the table whose first column has this title."""
    [table] = re.findall(rf"^\| {title} \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", README, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines()]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


REQUEST, OUTCOME = map(json.loads, blocks(section("One request"), "json"))
SENT = ONBOARDINGS["onboard-mediatailor"]
SAMPLE = re.compile(r"\((events/requests/[^)]+)\)")


def members(node: Any, path: str = "") -> Iterator[str]:
    """The paths of all members of a JSON document."""
    for name, value in node.items() if isinstance(node, dict) else ():
        yield f"{path}{name}"
        yield from members(value, f"{path}{name}.")


def meaning(detail: dict[str, Any]) -> dict[str, Any]:
    """What Latchkey reads in a request, in an account without a number."""
    anywhere = json.loads(re.sub(r"\b\d{12}\b", "0" * 12, json.dumps(detail)))
    return parse_onboarding(anywhere | {"requestId": "request-1"}).model_dump()


def test_the_request_shown_is_one_that_latchkey_takes() -> None:
    assert parse_onboarding(REQUEST | {"requestId": "request-1"}).system in SYSTEMS


def test_the_request_shown_is_the_sample_less_what_is_default() -> None:
    assert set(members(REQUEST)) <= set(members(SENT))
    assert meaning(REQUEST) == meaning(SENT)


def test_the_outcome_shown_has_only_members_that_outcomes_have() -> None:
    names = {field.alias for field in AccessOnboarded.model_fields.values()}

    assert set(OUTCOME) <= names
    assert set(OUTCOME["resources"]) <= {field.alias for field in Resources.model_fields.values()}
    assert {name for check in OUTCOME["checks"] for name in check} == set(CheckResult.model_fields)
    assert OUTCOME["accessId"] == parse_onboarding(REQUEST | {"requestId": "request-1"}).access_id


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s#]+)", document.read_text())
    relative = [link for link in links if not re.match(r"[a-z]+:", link)]

    assert [link for link in relative if not (document.parent / link).exists()] == []


def test_every_system_has_its_rows_with_its_samples() -> None:
    linked = [(quoted(name)[0], Path(path).stem) for name, cell, *_ in rows("System") for path in SAMPLE.findall(cell)]

    assert {system for system, _ in linked} == set(SYSTEMS)
    assert sorted(linked) == sorted((detail["system"], name) for name, detail in ONBOARDINGS.items())


def test_the_parameters_told_are_those_of_the_template_with_their_defaults() -> None:
    told = {
        name: default.strip(" `")
        for names, defaults, *_ in rows("Parameter")
        for name, default in zip(quoted(names), defaults.split(","), strict=True)
    }

    assert set(told) == set(TEMPLATE["Parameters"])
    for name, default in told.items():
        assert str(TEMPLATE["Parameters"][name].get("Default")) == ("" if default == "none" else default), name


def test_the_members_explained_are_members_of_a_request() -> None:
    schema = json.loads((ROOT / "events/schemas/onboard-mediatailor.json").read_text())

    for [names, *_] in rows("Member"):
        for name in quoted(names):
            node = schema
            for part in name.split("."):
                options = [node, *node.get("anyOf", [])]
                [reference] = [option["$ref"] for option in options if "$ref" in option] or [None]
                node = schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else node
                assert part in node["properties"], name
                node = node["properties"][part]
