"""Any event becomes a request or a list of problems, and no problem repeats a value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchkey.onboarding.receive_request import RequestEvent, execution_input
from latchkey.requests.parsing import ONBOARDING
from tests.unit.samples import EXISTING_ARN, FULL, KEY_ARN, detail

# No valid request contains this character in a name or ID.
MARKER = "canary token 4711!"
SCHEMA = ONBOARDING["mediatailor"].model_json_schema()
# One value of each JSON type. Only some parsers accept the last two numbers.
VALUES: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "integer": 7,
    "number": 7.5,
    "string": MARKER,
    "array": [MARKER],
    "object": {MARKER: MARKER},
    "infinity": json.loads("1e400"),
    "no number": json.loads("NaN"),
}
ODD = {
    "NUL": "\0",
    "half a character": "\ud800",
    "right to left": "\u202e",
    "combining": "\u0301",
    "homoglyph": "\u0430",
    "zero width": "\u200b",
    "emoji": "\U0001f511",
    "digit of another script": "\u0664",
    "line break at the end": "\n",
}


def _places(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """Every path of the model below a node, with the JSON types that it accepts."""
    options = [SCHEMA["$defs"][o["$ref"].rsplit("/", 1)[-1]] if "$ref" in o else o for o in node.get("anyOf", [node])]
    if path:
        yield path, frozenset(option["type"] for option in options)
    for option in options:
        for name, below in option.get("properties", {}).items():
            yield from _places(below, (*path, name))
        if "items" in option:
            yield from _places(option["items"], (*path, "0"))
        for below in option.get("patternProperties", {}).values():
            yield from _places(below, (*path, "team"))


PLACES = dict(_places(SCHEMA))
TEXTS = [path for path, types in PLACES.items() if "string" in types]
SOUND = detail(FULL)


def put(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A request that is valid except at one path."""
    request: dict[str, Any] = json.loads(json.dumps(SOUND))
    node: Any = request
    for name, following in zip(path, (*path[1:], ""), strict=True):
        made: Any = value if not following else [] if following == "0" else {}
        if isinstance(node, list):
            node[:] = [made]
            node = node[0]
        elif not following or not isinstance(node.get(name), (dict, list)):
            node[name] = made
            node = made
        else:
            node = node[name]
    return request


def problems(request: Any) -> list[str]:
    """The paths of the problems of an invalid request, which are also those in the input of the execution."""
    content = execution_input(RequestEvent(id="event-1", detail=request), lambda _: None)
    assert content.request is None
    assert MARKER not in content.model_dump_json()
    return [problem.path for problem in content.problems]


def test_the_tested_paths_are_those_of_the_model() -> None:
    assert len(PLACES) > 30
    assert {("tags", "team"), ("managementRoles", "0"), ("secret", "value", "copyFrom", "key")} <= set(PLACES)


@pytest.mark.parametrize("path", PLACES, ids=".".join)
def test_a_wrong_type_is_reported_at_its_path(path: tuple[str, ...]) -> None:
    wrong = {name: value for name, value in VALUES.items() if name not in PLACES[path]}

    assert wrong
    for name, value in wrong.items():
        assert any(found == ".".join(path) for found in problems(put(path, value))), name


@pytest.mark.parametrize("path", TEXTS, ids=".".join)
def test_an_unusual_character_is_reported_at_its_path(path: tuple[str, ...]) -> None:
    for name, character in ODD.items():
        assert ".".join(path) in problems(put(path, _sound(path) + character)), name


def _sound(path: tuple[str, ...]) -> str:
    """A text that is valid at the path."""
    arns = {"arn": KEY_ARN, "secretArn": EXISTING_ARN}
    node: Any = SOUND
    for name in path:
        node = node[0] if isinstance(node, list) else node.get(name, arns.get(path[-1], "sports"))
        if isinstance(node, str):
            break
    assert isinstance(node, str)
    return node


@pytest.mark.parametrize("character", ODD.values(), ids=ODD)
def test_an_unusual_character_in_a_name_is_reported_and_not_repeated(character: str) -> None:
    for parent in ("resource", "secret", "key", "tags"):
        name = f"{MARKER}{character}"
        assert any(path.startswith(parent) for path in problems(put((parent, name), "sports")))


_TEXTS = st.text(st.characters(), max_size=4) | st.sampled_from([MARKER, f"x{MARKER}\ud800", "mediatailor", "arn:aws:kms"])
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS
_NAMES = st.sampled_from(sorted({name for path in PLACES for name in path})) | _TEXTS
_JSON = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=12
)


@settings(deadline=None, database=None, max_examples=400)
@given(document=_JSON, path=st.none() | st.sampled_from(sorted(PLACES)))
def test_any_json_is_parsed_or_rejected(document: Any, path: tuple[str, ...] | None) -> None:
    content = execution_input(RequestEvent(id="event-1", detail=put(path, document) if path else document), lambda _: None)

    assert (content.request is None) == bool(content.problems)
    if content.problems:
        assert MARKER not in content.model_dump_json()
        assert len(content.model_dump_json()) < 32_768
