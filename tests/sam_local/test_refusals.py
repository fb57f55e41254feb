"""What is refused in a container: the class name and the message as AWS tells them, or an answer that says so."""

import json

import pytest

from local_aws.outcomes import Outcomes
from tests.sam_local.conftest import Invocation

# The class of each error, and what its message says.
RAISED = {
    "attach_policies": ("Conflict", "has gone since the request was checked"),
    "check_request": ("InvalidRequest", "managementRoles"),
    "clean_up_grants": ("InvalidRequest", "keys"),
    "configure_access": ("InvalidRequest", "resource.header"),
    "create_key": ("InvalidRequest", "key.alias"),
    "create_secret": ("InvalidRequest", "secret.value.generate.length"),
    "read_execution": ("LatchkeyError", "ExecutionDoesNotExist"),
    "record_access": ("InvalidRequest", "status"),
    "report_clean_up": ("InvalidRequest", "accessId"),
    "report_outcome": ("InvalidRequest", "detailType"),
    "sweep_grants": ("InvalidRequest", '"id"'),
    "validate_access": ("AccessNotEffective", "does not exist"),
}
ANSWERED = {
    "identify_accesses": '{"batchItemFailures": [{"itemIdentifier": "404f1679-9604-54e9-a940-c4d14714b09d"}]}',
    "list_grants": '{"grants": [], "unreadable": []}',
    "observe_access": '"status": null',
    "undo_onboarding": '{"undone": []}',
}


@pytest.mark.parametrize("function", RAISED)
def test_an_error_is_told_with_its_class_and_its_message(refused: dict[str, Invocation], function: str) -> None:
    kind, message = refused[function].error

    assert (kind, RAISED[function][1] in message) == (RAISED[function][0], True), message


@pytest.mark.parametrize("function", ANSWERED)
def test_what_is_not_there_is_answered(refused: dict[str, Invocation], function: str) -> None:
    assert ANSWERED[function] in json.dumps(refused[function].answer)


def test_a_request_of_an_unknown_system_is_rejected_on_the_bus(outcomes: Outcomes, refused: dict[str, Invocation]) -> None:
    event = outcomes.wait_for(refused["receive_request"].answer["requestId"], 60)

    assert event["detail-type"] == "Request Rejected"
    assert [error["place"] for error in event["detail"]["errors"]] == ["system"]
