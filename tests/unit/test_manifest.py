"""The lines of a manifest, and the requests that they become. No problem repeats a value."""

import json
from typing import Any

import pytest

from latchkey.bulk.check_manifest import request_lines
from latchkey.bulk.manifest import MOST_LINE_BYTES, MOST_LINES, Line, parse_manifest
from latchkey.errors import InvalidRequest
from latchkey.onboarding.receive_request import RequestEvent, execution_input
from latchkey.registry.execution_input import ExecutionInput
from tests.unit.samples import FULL, TOKEN, TOKEN_PLACES, detail

BULK = ExecutionInput(requestId="bulk-1", contentHash="c" * 64, eventId="event-1")


def lines(text: str, key: str = "manifests/channels.jsonl") -> list[Line]:
    return parse_manifest(key, text.encode())


def rejected(body: bytes, key: str = "manifests/channels.jsonl") -> set[str]:
    """The paths of the problems of a manifest that is rejected whole."""
    with pytest.raises(InvalidRequest) as caught:
        parse_manifest(key, body)
    return {problem.path for problem in caught.value.problems}


def requests(*details: Any, plans: bool = False) -> list[ExecutionInput]:
    """The inputs of the executions of the lines with these details."""
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in details)
    return [line.content for line in request_lines(BULK, plans, lines(text))]


def places(content: ExecutionInput) -> set[str]:
    return {problem.path for problem in content.problems}


def test_each_line_is_a_request_with_its_number() -> None:
    assert lines('{"a": 1}\n\n{"a": 2}\n') == [Line(1, {"a": 1}), Line(3, {"a": 2})]


def test_a_byte_order_mark_and_line_ends_of_windows_have_no_meaning() -> None:
    assert lines('\ufeff{"a": 1}\r\n{"a": 2}\r\n') == lines('{"a": 1}\n{"a": 2}')


def test_only_a_line_feed_ends_a_line_of_json() -> None:
    assert lines('{"a": "one\u2028line"}') == [Line(1, {"a": "one\u2028line"})]


@pytest.mark.parametrize(
    "line", ["{", "[]", '"text"', "1", "[" * 100_000, "[" * 30_000, '{"a": "' + "x" * MOST_LINE_BYTES + '"}']
)
def test_a_line_that_is_no_object_is_a_problem_of_its_own(line: str) -> None:
    first, second = lines(f'{line}\n{{"a": 1}}')

    assert (first.detail, second.detail) == (None, {"a": 1})
    assert first.problem
    assert first.problem.path == "detail"


@pytest.mark.parametrize(
    ("body", "key", "path"),
    [
        (b"\xff\xfe{}", "manifests/channels.jsonl", "manifest"),
        (b"", "manifests/channels.jsonl", "manifest"),
        (b"\n \n", "manifests/channels.jsonl", "manifest"),
        (b"system\n", "manifests/channels.csv", "manifest"),
        (b"", "manifests/channels.csv", "manifest"),
        (b"system,system\na,b\n", "manifests/channels.csv", "manifest"),
        (b"system,\na,b\n", "manifests/channels.csv", "manifest"),
        (b'system\n"a"b\n', "manifests/channels.csv", "manifest"),
        (b"{}\n" * (MOST_LINES + 1), "manifests/channels.jsonl", "manifest"),
        (b"{}", "manifests/channels.json", "manifest.key"),
    ],
)
def test_a_manifest_that_cannot_be_divided_into_requests_is_rejected_whole(body: bytes, key: str, path: str) -> None:
    assert rejected(body, key) == {path}


def test_a_manifest_can_have_ten_thousand_requests() -> None:
    assert len(lines("{}\n" * MOST_LINES)) == MOST_LINES


def test_columns_of_csv_are_members() -> None:
    header = "system,resource.sourceLocation,resource.configure,key.rotationDays,managementRoles,tags.cost.center,secret.name"
    row = 'mediatailor,sports,TRUE,365,arn:one; arn:two,5,"with, comma"'

    assert lines(f"{header}\n{row}\n", "manifests/channels.csv") == [
        Line(
            2,
            {
                "system": "mediatailor",
                "resource": {"sourceLocation": "sports", "configure": True},
                "key": {"rotationDays": 365},
                "managementRoles": ["arn:one", "arn:two"],
                "tags": {"cost.center": "5"},
                "secret": {"name": "with, comma"},
            },
        )
    ]


def test_an_empty_cell_is_no_member_and_an_empty_row_no_request() -> None:
    found = lines("system,key.alias,secret.value.generate\nmediatailor,,{}\n,,\nmediatailor\n", "manifests/a.CSV")

    generated = {"system": "mediatailor", "secret": {"value": {"generate": {}}}}
    assert found == [Line(2, generated), Line(4, {"system": "mediatailor"})]


def test_the_number_of_a_row_is_that_of_its_first_line() -> None:
    found = lines('system,secret.name\nmediatailor,"a\nb"\nmediatailor,c\n', "manifests/a.csv")

    assert [line.number for line in found] == [2, 4]


@pytest.mark.parametrize(
    "row",
    ["mediatailor,a,b,c", "mediatailor,alias/one,text", f"mediatailor,{'x' * MOST_LINE_BYTES},"],
    ids=["more cells than the header", "a member and a member inside of it", "too large"],
)
def test_a_row_that_is_no_object_is_a_problem_of_its_own(row: str) -> None:
    first, second = lines(f"system,key.alias,key\n{row}\nmediatailor,alias/two,\n", "manifests/a.csv")

    assert first.problem
    assert second.detail == {"system": "mediatailor", "key": {"alias": "alias/two"}}


def test_a_member_inside_of_one_that_is_no_object_is_a_problem() -> None:
    [line] = lines("key,key.alias.name\ntext,one\n", "manifests/a.csv")

    assert line.problem


def test_a_cell_that_is_not_of_the_type_of_its_member_breaks_its_rule() -> None:
    text = "system,takesEffectNow,key.rotationDays\nmediapackage,perhaps,many\n"
    [request] = request_lines(BULK, False, lines(text, "manifests/a.csv"))

    assert {"takesEffectNow", "key.rotationDays"} <= places(request.content)


def test_a_line_is_the_request_that_its_event_would_be() -> None:
    [content] = requests(detail(FULL))
    event = RequestEvent.model_validate({"id": "event-1.1", "detail-type": "Onboarding Requested", "detail": detail(FULL)})

    assert content == execution_input(event, lambda _: None)


def test_a_line_without_a_request_id_gets_one_from_the_bulk_request() -> None:
    [content] = requests({name: value for name, value in detail(FULL).items() if name != "requestId"})
    long = BULK.model_copy(update={"request_id": "b" * 128})
    [other] = request_lines(long, False, lines("{}"))

    assert content.request_id == "bulk-1.1"
    assert content.request
    assert other.content.request_id.endswith(".1")
    assert len(other.content.request_id) < 128


def test_a_plan_has_a_request_id_of_its_own() -> None:
    [content] = requests(detail(FULL) | {"mode": "apply"}, plans=True)

    assert content.request
    assert (content.request.mode, content.request_id) == ("plan", f"{detail(FULL)['requestId']}.plan")


def test_the_second_line_with_a_request_id_or_an_access_is_rejected() -> None:
    other = detail(FULL) | {"requestId": "request-2"}
    first, again, same_access = requests(detail(FULL), detail(FULL), other)

    assert not first.problems
    assert (places(again), again.request_id) == ({"requestId", "resource"}, "event-1.2")
    assert (places(same_access), same_access.request_id) == ({"resource"}, "request-2")
    assert again.request is None


def test_the_rejections_of_different_lines_are_different_requests() -> None:
    first, second = requests("{", "{")

    assert first.ref.item_id != second.ref.item_id
    assert places(first) == places(second) == {"detail"}


@pytest.mark.parametrize("sent", TOKEN_PLACES.values(), ids=TOKEN_PLACES)
def test_no_line_with_a_token_is_stored_with_it(sent: dict[str, Any]) -> None:
    [content] = requests(sent)

    assert content.problems
    assert TOKEN not in content.model_dump_json(by_alias=True)
