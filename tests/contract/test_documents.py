"""The documents are true: links and names exist, examples are valid, and tables match the template and the models."""

import copy
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from latchkey.requests.parsing import parse_onboarding
from latchkey.systems import SYSTEMS
from tests.contract.artifacts import ROOT, TEMPLATE
from tests.contract.commands import json_blocks
from tests.contract.documents import (
    CURRENT,
    DOCUMENTS,
    Block,
    Document,
    is_a_symbol,
    is_there,
    names_a_file,
    symbol_exists,
    words,
)
from tests.contract.sample_requests import ONBOARDINGS

SCHEMAS = {path.stem: json.loads(path.read_text()) for path in sorted(ROOT.glob("events/schemas/*.json"))}
EVENTS = {name: schema for name, schema in SCHEMAS.items() if "outcomeId" in schema["properties"]}
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=str)
each_current_document = pytest.mark.parametrize("document", CURRENT, ids=str)
[README] = [document for document in DOCUMENTS if str(document) == "README.md"]
FOR_USERS = [README, *(document for document in DOCUMENTS if str(document).startswith("docs/"))]


def is_relative(link: str) -> bool:
    return not re.match(r"[a-z][a-z0-9+.-]*:", link)


def broken_links(document: Document) -> list[str]:
    broken = []
    for link in filter(is_relative, document.links):
        path, _, fragment = link.partition("#")
        target = (document.path.parent / path).resolve() if path else document.path
        anchors = Document(target).anchors if target.suffix == ".md" and target.is_file() else frozenset()
        if not target.exists() or (fragment and fragment not in anchors):
            broken.append(link)
    return broken


def unencrypted_links(document: Document) -> list[str]:
    return [link for link in document.links if not is_relative(link) and not link.startswith(("https://", "mailto:"))]


def missing_files(document: Document, folder: Path) -> list[str]:
    named = [path for path in filter(names_a_file, document.code) if path not in document.examples | GENERATED]
    return [path for path in named if not is_there(path, folder)]


def missing_symbols(document: Document) -> list[str]:
    return [name for name in filter(is_a_symbol, document.code) if not symbol_exists(name)]


@each_document
def test_every_link_leads_to_a_file_and_a_heading(document: Document) -> None:
    assert broken_links(document) == []


@each_document
def test_every_external_link_is_encrypted(document: Document) -> None:
    assert unencrypted_links(document) == []


# Files that `make update` writes for the system of docs/add-a-system.md.
GENERATED = {"assumptions.json", "events/schemas/onboard-medialive.json", "tests/policies/systems/medialive"}


@each_current_document
def test_every_file_that_is_named_exists(document: Document) -> None:
    assert missing_files(document, document.path.parent) == []


@each_current_document
def test_every_symbol_that_is_named_exists(document: Document) -> None:
    assert missing_symbols(document) == []


# Names that the documents quote from other products.
FOREIGN: set[str] = set()


@each_current_document
def test_every_identifier_that_is_named_occurs_in_the_sources(document: Document) -> None:
    """Covers functions, members and logical IDs that are named alone, such as `create_key` and `AccessTable`."""
    identifiers = [code for code in document.code if re.fullmatch(r"_?[a-z]+(_[a-z0-9]+)+|[A-Za-z]+[a-z][A-Z]\w+", code)]

    assert set(identifiers) - words() - document.defined - FOREIGN == set()


PARSERS: dict[str, Callable[[str], Any]] = {
    "json": json.loads,
    "python": lambda text: compile(text, "document", "exec"),
    "toml": tomllib.loads,
    "yaml": lambda text: list(YAML(typ="rt").load_all(text)),
}
BLOCKS = [block for document in DOCUMENTS for block in document.blocks if block.language in PARSERS]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_of_a_data_or_programming_language_parses(block: Block) -> None:
    PARSERS[block.language](block.text)


JSON = [(block, example) for document in DOCUMENTS for block, example in json_blocks(document)]


def details(example: Any) -> Iterator[tuple[str | None, Any]]:
    """The details in an example with their detail types, which are None where the example has no envelope."""
    for entry in example if isinstance(example, list) else [example]:
        members = entry.items() if isinstance(entry, dict) else ()
        envelope = {name.replace("-", "").lower(): value for name, value in members}
        if "detailtype" in envelope:
            detail = envelope["detail"]
            yield envelope["detailtype"], json.loads(detail) if isinstance(detail, str) else detail
        else:
            yield None, entry


def is_request(detail_type: str | None, detail: Any) -> bool:
    without_envelope = isinstance(detail, dict) and {"system", "resource"} <= set(detail)
    return detail_type == "Onboarding Requested" or (detail_type is None and without_envelope)


def is_event(detail_type: str | None, detail: Any) -> bool:
    without_envelope = isinstance(detail, dict) and bool({"outcomeId", "status", "checks", "errors", "undone"} & set(detail))
    return slug(detail_type or "") in EVENTS or (detail_type is None and without_envelope)


def slug(detail_type: str) -> str:
    return detail_type.lower().replace(" ", "-")


REQUESTS = [
    (block, detail)
    for block, example in JSON
    for kind, detail in details(example)
    if is_request(kind, detail) and block.document != "docs/add-a-system.md"  # its system does not exist
]
SHOWN_EVENTS = [(block, kind, detail) for block, example in JSON for kind, detail in details(example) if is_event(kind, detail)]


def shortened(schema: Any) -> Any:
    """The schema without required members, for examples that show some members only."""
    if isinstance(schema, dict):
        return {name: shortened(value) for name, value in schema.items() if name != "required" or not isinstance(value, list)}
    return [shortened(item) for item in schema] if isinstance(schema, list) else schema


def fitting(detail: Any, detail_type: str | None) -> list[str]:
    names = [slug(detail_type)] if detail_type else [*EVENTS]
    return [name for name in names if jsonschema.Draft202012Validator(shortened(EVENTS[name])).is_valid(detail)]


@pytest.mark.parametrize(("block", "detail"), REQUESTS, ids=[str(block) for block, _ in REQUESTS])
def test_every_request_that_is_shown_fits_its_schema_and_its_model(block: Block, detail: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMAS[f"onboard-{detail['system']}"]).validate(detail)
    assert parse_onboarding({"requestId": "request-1"} | detail).system == detail["system"]


@pytest.mark.parametrize(("block", "detail_type", "detail"), SHOWN_EVENTS, ids=[str(block) for block, *_ in SHOWN_EVENTS])
def test_every_outcome_that_is_shown_fits_a_schema(block: Block, detail_type: str | None, detail: dict[str, Any]) -> None:
    assert fitting(detail, detail_type)


def test_an_outcome_with_an_unknown_member_would_not_fit() -> None:
    [detail, *_] = [detail for _, _, detail in SHOWN_EVENTS]

    assert fitting(detail | {"unknown": True}, None) == []
    assert fitting(detail | {"checks": [{"name": "a check"}, {"unknown": True}]}, None) == []


def meaning(detail: dict[str, Any]) -> dict[str, Any]:
    """The parsed request, with the same number for every account."""
    anywhere = json.loads(re.sub(r"\b\d{12}\b", "0" * 12, json.dumps(detail)))
    return parse_onboarding(copy.deepcopy(anywhere) | {"requestId": "request-1"}).model_dump()


def test_the_readme_shows_a_request_and_its_outcome() -> None:
    """The request is one of the samples, without members that have their default. The outcome is for the same access."""
    [request, *_] = [detail for block, detail in REQUESTS if block.document == "README.md"]
    [outcome, *_] = [detail for block, _, detail in SHOWN_EVENTS if block.document == "README.md"]

    samples = [sample for sample in ONBOARDINGS.values() if sample["system"] == request["system"]]
    assert meaning(request) in [meaning(sample) for sample in samples]
    assert outcome["accessId"] == parse_onboarding(request | {"requestId": "request-1"}).access_id


def rows(*header: str) -> list[list[str]]:
    """The rows of the table that has these first columns."""
    tables = [table for document in FOR_USERS for table in document.tables]
    [(_, *found)] = [table for table in tables if tuple(table[0][: len(header)]) == header]
    return found


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


SAMPLE = re.compile(r"\((?:\.\./)?events/requests/([^)]+)\.json\)")


def test_every_system_has_a_row_that_links_its_samples() -> None:
    linked = [(quoted(name)[0], sample) for name, cell, *_ in rows("System", "Requests") for sample in SAMPLE.findall(cell)]

    assert {system for system, _ in linked} == set(SYSTEMS)
    assert sorted(linked) == sorted((detail["system"], name) for name, detail in ONBOARDINGS.items())


def test_the_parameters_that_are_listed_are_those_of_the_template_with_their_defaults() -> None:
    listed = {
        name: default.strip(" `")
        for names, defaults, *_ in rows("Parameter", "Default")
        for name, default in zip(quoted(names), defaults.split(","), strict=True)
    }

    assert set(listed) == set(TEMPLATE["Parameters"])
    for name, default in listed.items():
        assert str(TEMPLATE["Parameters"][name].get("Default")) == ("" if default == "none" else default), name


def test_the_members_that_are_explained_are_members_of_a_request() -> None:
    schema = SCHEMAS["onboard-mediatailor"]

    for [names, *_] in rows("Member", "Meaning"):
        for name in quoted(names):
            node = schema
            for part in name.split("."):
                options = [node, *node.get("anyOf", [])]
                [reference] = [option["$ref"] for option in options if "$ref" in option] or [None]
                node = schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else node
                assert part in node["properties"], name
                node = node["properties"][part]


FALSE = """
# A title: with `code`, twice

# A title: with `code`, twice

See [a file](no-such-file.md), [a heading](#no-such-heading), [the first](#a-title-with-code-twice),
[the second](#a-title-with-code-twice-1) and [a site](http://example.com).

`functions/no_such_verb/app.py`, `events/requests/onboard-<system>.json`, `latchkey.systems.no_such_module`,
`latchkey.systems.SYSTEMS`, `systems.no_such_name`, `Resource.no_such_member`, `System.granted`, `NoSuchClass.member`,
`kms.amazonaws.com`
"""


@pytest.fixture
def false_document(tmp_path: Path) -> Document:
    (tmp_path / "false.md").write_text(FALSE)
    return Document(tmp_path / "false.md")


def test_a_false_document_is_found_out(false_document: Document) -> None:
    assert broken_links(false_document) == ["no-such-file.md", "#no-such-heading"]
    assert unencrypted_links(false_document) == ["http://example.com"]
    assert missing_files(false_document, ROOT) == ["functions/no_such_verb/app.py"]
    assert missing_symbols(false_document) == [
        "latchkey.systems.no_such_module",
        "systems.no_such_name",
        "Resource.no_such_member",
        "NoSuchClass.member",
    ]


def test_a_request_that_no_schema_allows_is_found_out() -> None:
    [_, detail] = REQUESTS[0]
    schema = SCHEMAS[f"onboard-{detail['system']}"]

    assert not jsonschema.Draft202012Validator(schema).is_valid(detail | {"token": "a value"})
