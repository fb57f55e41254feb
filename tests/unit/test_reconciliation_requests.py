"""Reconciliation requests: their scope, and the input of their execution."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey.errors import InvalidRequest
from latchkey.onboarding.receive_request import RequestEvent, execution_input
from latchkey.registry.execution_input import ExecutionInput
from latchkey.requests.lifecycle import ReconciliationRequested
from latchkey.requests.models import RECONCILIATION_REQUESTED
from latchkey.requests.parsing import parse_asked, parse_onboarding
from tests.unit.samples import detail

ACCESS_ID = "mediatailor/sourceLocation/sports-origin"


def received(members: dict[str, Any], *, is_recorded: bool = True) -> ExecutionInput:
    event = {"id": "event-1", "detail-type": RECONCILIATION_REQUESTED, "detail": members}
    recorded = parse_onboarding(detail()) if is_recorded else None
    return execution_input(RequestEvent.model_validate(event), lambda _: recorded)


@pytest.mark.parametrize(
    ("members", "system", "access_id"),
    [
        ({}, None, None),
        ({"acknowledgeStorm": True}, None, None),
        ({"system": "mediapackage"}, "mediapackage", None),
        ({"accessId": ACCESS_ID}, "mediatailor", ACCESS_ID),
    ],
)
def test_a_request_has_a_scope_and_no_onboarding_request(
    members: dict[str, Any], system: str | None, access_id: str | None
) -> None:
    content = received(members)

    assert (content.system, content.access_id, content.request) == (system, access_id, None)
    assert isinstance(content.asked, ReconciliationRequested)
    assert (content.kind, content.problems, content.asked.request_id) == (RECONCILIATION_REQUESTED, (), "event-1")
    assert ExecutionInput.model_validate_json(content.model_dump_json(by_alias=True)) == content


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"system": "no-such-system"}, "system"),
        ({"system": "mediatailor", "accessId": ACCESS_ID}, "detail"),
        ({"acknowledgeStorm": "yes"}, "acknowledgeStorm"),
        ({"mode": "plan"}, "mode"),
    ],
)
def test_an_unknown_scope_is_a_problem(members: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_asked(RECONCILIATION_REQUESTED, {"requestId": "request-1"} | members)

    assert [problem.path for problem in raised.value.problems] == [path]


def test_an_access_that_is_not_recorded_is_a_problem() -> None:
    content = received({"accessId": ACCESS_ID}, is_recorded=False)

    assert [problem.path for problem in content.problems] == ["accessId"]
    assert content.asked is None
