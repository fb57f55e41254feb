"""Every request has one outcome, which is recorded once and published as recorded."""

from __future__ import annotations

import json
from string import ascii_lowercase
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from latchkey.errors import InvalidRequest, NotYetEffective, Problem, TransientAwsError
from latchkey.events.outcomes import OUTCOMES, CaughtError, Check
from latchkey.onboarding.report_outcome import Report, outcome_of, report_outcome
from latchkey.registry import Registry
from latchkey.requests.parsing import parse_onboarding
from latchkey.systems.system import Handoff
from tests.unit.samples import EXECUTION_ARN, KEY_ARN, SECRET_ARN, TOKEN, detail

# The longest Cause that Step Functions keeps.
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_TaskFailedEventDetails.html
LONGEST_CAUSE = 32_768


def report(detail_type: str, **members: Any) -> Report:
    known: dict[str, Any] = {
        "detailType": detail_type,
        "requestId": "request-1",
        "contentHash": "0" * 64,
        "executionArn": EXECUTION_ARN,
        "system": "mediatailor",
    }
    return Report.model_validate_json(json.dumps(known | members))


def caught(name: str, message: str = "") -> dict[str, str]:
    """The output of a Catch for an exception of a Lambda function."""
    cause = {"errorMessage": message, "errorType": name, "stackTrace": [f"  raise {name}"]}
    return {"Error": name, "Cause": json.dumps(cause)}


def onboarded(*, changed: bool = True) -> Report:
    return report(
        "Access Onboarded",
        accessId="mediatailor/sourceLocation/sports-origin",
        changed=changed,
        checks=[{"name": "key is enabled", "passed": True, "evidence": "a key"}],
        resources={"keyArn": KEY_ARN, "secretArn": SECRET_ARN, "grantId": "g-1"},
    )


def test_the_flags_of_a_check_are_not_published() -> None:
    check = Check("key is enabled", True, "a key", settles=True, overwritten=True, revokes=True, unclear=True)
    result = said(onboarded().model_copy(update={"checks": (check,)}))
    assert result["checks"] == [{"name": "key is enabled", "passed": True, "evidence": "a key", "result": "passed"}]
    schema = OUTCOMES["Access Onboarded"].model_json_schema()
    assert set(schema["$defs"]["Check"]["properties"]) == {"name", "passed", "evidence", "result"}


def said(outcome: Report) -> dict[str, Any]:
    """The outcome on the bus, without the members of every outcome."""
    result = outcome_of(outcome).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    common = {name: result.pop(name) for name in ("requestId", "contentHash", "system", "executionArn")}
    of_request = {"requestId": "request-1", "contentHash": "0" * 64}
    assert common == of_request | {"system": "mediatailor", "executionArn": EXECUTION_ARN}
    assert len(result.pop("outcomeId")) == 32
    return result


@pytest.mark.parametrize(("changed", "status"), [(True, "active"), (False, "unchanged")])
def test_an_onboarded_access_says_whether_anything_changed(changed: bool, status: str) -> None:
    assert said(onboarded(changed=changed)) == {
        "accessId": "mediatailor/sourceLocation/sports-origin",
        "status": status,
        "changed": changed,
        "checks": [{"name": "key is enabled", "passed": True, "evidence": "a key", "result": "passed"}],
        "resources": {"keyArn": KEY_ARN, "secretArn": SECRET_ARN, "grantId": "g-1"},
    }


HANDOFF = {"values": {"KMS key ARN": KEY_ARN}, "steps": ["Enter it."]}


def handed_off(*, changed: bool = True) -> Report:
    left = {"detail_type": "Access Handed Off", "handoff": Handoff.model_validate_json(json.dumps(HANDOFF))}
    return onboarded(changed=changed).model_copy(update=left | {"effect_delay_seconds": 600})


@pytest.mark.parametrize(("changed", "status"), [(True, "handed-off"), (False, "unchanged")])
def test_a_handoff_lists_the_steps_of_the_owner(changed: bool, status: str) -> None:
    result = said(handed_off(changed=changed))
    assert (result["status"], result["changed"]) == (status, changed)
    assert result["handoff"] == HANDOFF
    assert result["effectDelaySeconds"] == 600


def test_an_onboarded_access_has_the_effect_delay_and_no_handoff() -> None:
    result = said(onboarded().model_copy(update={"effect_delay_seconds": 300}))
    assert "handoff" not in result
    assert result["effectDelaySeconds"] == 300


def test_an_access_handed_off_requires_a_handoff() -> None:
    with pytest.raises(ValidationError, match="handoff"):
        outcome_of(handed_off().model_copy(update={"handoff": None}))


def test_a_rejection_lists_every_problem_and_no_change() -> None:
    error = InvalidRequest([Problem("system", "is missing"), Problem("key.alias", "is reserved")])
    assert said(report("Request Rejected", changed=True, caught=caught("InvalidRequest", str(error)))) == {
        "status": "rejected",
        "changed": False,
        "errors": [{"place": "key.alias", "rule": "is reserved"}, {"place": "system", "rule": "is missing"}],
    }


@pytest.mark.parametrize("left", [True, False])
def test_a_failure_contains_the_error_and_whether_changes_remain(left: bool) -> None:
    assert said(report("Request Failed", changed=left, caught=caught("Conflict", "the key has gone"))) == {
        "status": "failed",
        "changed": left,
        "failure": {"name": "Conflict", "message": "the key has gone"},
    }


def test_a_failure_lists_the_rollback_and_no_resources() -> None:
    undone = [f"deleted {SECRET_ARN}", f"removed the statements of this request from the policy of {KEY_ARN}"]
    result = said(
        report("Request Failed", caught=caught("Conflict", "a"), undone=undone, resources={"keyArn": KEY_ARN}, changed=True)
    )
    assert result["undone"] == undone
    assert "resources" not in result


@pytest.mark.parametrize("detail_type", ["Access Onboarded", "Request Rejected"])
def test_only_a_failure_lists_a_rollback(detail_type: str) -> None:
    result = said(report(detail_type, accessId="a", caught=caught("InvalidRequest"), undone=["anything"]))
    assert "undone" not in result


@pytest.mark.parametrize(
    "error",
    [
        {"Error": "States.Timeout"},
        {"Error": "States.Timeout", "Cause": ""},
        {"Error": "Lambda.Unknown", "Cause": f"Task timed out: {TOKEN}"},
        {"Error": "States.TaskFailed", "Cause": json.dumps([TOKEN])},
        {"Error": "Conflict", "Cause": json.dumps({"errorType": "Conflict"})},
    ],
    ids=["timeout", "empty cause", "text", "list", "no message"],
)
def test_a_failure_with_a_foreign_error_has_only_its_name(error: dict[str, str]) -> None:
    assert said(report("Request Failed", caught=error))["failure"] == {"name": error["Error"], "message": ""}


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
causes = st.one_of(
    st.text(),
    anything.map(json.dumps),
    anything.map(lambda message: json.dumps({"errorMessage": message})),
    anything.map(lambda problems: json.dumps({"errorMessage": json.dumps({"problems": problems})})),
)


@settings(deadline=None, database=None)
@given(st.sampled_from(["InvalidRequest", "Conflict", "LatchkeyError", "States.Timeout"]), causes)
def test_a_failure_accepts_any_cause(name: str, cause: str) -> None:
    result = said(report("Request Failed", caught={"Error": name, "Cause": cause}))
    assert (result["status"], result["failure"]["name"]) == ("failed", name)


@settings(deadline=None, database=None)
@given(causes)
def test_a_rejection_accepts_any_cause(cause: str) -> None:
    result = said(report("Request Rejected", caught={"Error": "InvalidRequest", "Cause": cause}))
    assert result["status"] == "rejected"


@pytest.mark.parametrize(
    "message",
    ["text", "[]", "{}", '{"problems": null}', '{"problems": ["text"]}', '{"problems": [{"place": "system"}]}'],
)
def test_a_rejection_without_problems_is_still_a_rejection(message: str) -> None:
    assert said(report("Request Rejected", caught=caught("InvalidRequest", message)))["status"] == "rejected"


def test_a_deeply_nested_cause_has_no_message() -> None:
    cause = "[" * (LONGEST_CAUSE // 2) + "]" * (LONGEST_CAUSE // 2)
    assert said(report("Request Failed", caught={"Error": "Conflict", "Cause": cause}))["failure"]["message"] == ""


def test_an_outcome_with_any_characters_can_be_published() -> None:
    outcome = outcome_of(report("Request Failed", caught=caught("Conflict", "half a character: \ud800")))
    assert json.loads(outcome.model_dump_json(by_alias=True, exclude_none=True))["status"] == "failed"


@pytest.mark.parametrize("name", ["ValueError", "ValidationError", "KeyError", "ClientError", "Problem", "json", "Exception"])
def test_the_message_of_a_foreign_error_is_omitted(name: str) -> None:
    error = CaughtError.model_validate(caught(name, f"input_value='{TOKEN}'"))
    assert error.message == ""


@pytest.mark.parametrize(
    ("parent", "stem"), [("secret", "originReaders"), ("secret", "token"), ("secret.value.copyFrom", "secretArn")]
)
def test_a_rejection_with_a_truncated_cause_is_still_a_rejection(parent: str, stem: str) -> None:
    # Member names that are shown, with the longest rule.
    names = [f"{stem}{first}{second}" for first in ascii_lowercase for second in ascii_lowercase]
    with pytest.raises(InvalidRequest) as rejected:
        parse_onboarding(detail({parent: dict.fromkeys(names, 1)}))
    error = caught("InvalidRequest", str(rejected.value))
    assert len(error["Cause"]) <= LONGEST_CAUSE
    result = said(report("Request Rejected", caught=error))
    assert result["status"] == "rejected"
    assert len(result["errors"]) == 101


def test_reporting_an_execution_again_gives_the_same_outcome() -> None:
    assert outcome_of(onboarded()) == outcome_of(onboarded())
    other = onboarded().model_copy(update={"execution_arn": f"{EXECUTION_ARN}-2"})
    assert outcome_of(other).outcome_id != outcome_of(onboarded()).outcome_id


@pytest.mark.parametrize("detail_type", ["Request Rejected", "Request Failed"])
def test_a_failed_request_requires_an_error(detail_type: str) -> None:
    with pytest.raises(ValidationError, match="status"):
        outcome_of(report(detail_type))


def test_an_access_is_not_onboarded_without_its_id() -> None:
    with pytest.raises(ValidationError, match="accessId"):
        outcome_of(report("Access Onboarded"))


@pytest.mark.parametrize("outcome", [onboarded(), handed_off(), report("Request Failed", caught=caught("Conflict"))])
def test_a_published_outcome_validates_against_its_model(outcome: Report) -> None:
    made = outcome_of(outcome)
    model = OUTCOMES[outcome.detail_type]
    assert type(made) is model
    assert model.model_validate_json(made.model_dump_json(by_alias=True, exclude_none=True)) == made


def test_an_outcome_is_published_with_its_resource_arns(registry: Registry) -> None:
    events = boto3.client("events")
    with Stubber(events) as stubber:
        entry = {
            "EventBusName": "requests",
            "Source": "latchkey",
            "DetailType": "Access Onboarded",
            "Detail": outcome_of(onboarded()).model_dump_json(by_alias=True, exclude_none=True),
            "Resources": [KEY_ARN, SECRET_ARN],
        }
        stubber.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}, {"Entries": [entry]})
        reported = report_outcome(onboarded(), registry, events, "requests")
    assert (reported.detail_type, reported.outcome_id) == ("Access Onboarded", outcome_of(onboarded()).outcome_id)


def test_the_first_outcome_of_a_request_is_its_only_one(registry: Registry) -> None:
    events = boto3.client("events")
    late = report("Request Failed", caught=caught("States.Timeout")).model_copy(update={"execution_arn": f"{EXECUTION_ARN}-2"})
    with Stubber(events) as stubber:
        for _ in range(2):
            stubber.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}]}, {"Entries": ANY})
        first = report_outcome(onboarded(), registry, events, "requests")
        assert report_outcome(late, registry, events, "requests") == first


@pytest.mark.parametrize("detail_type", ["Access Onboarded", "Request Rejected", "Request Failed"])
def test_every_outcome_unlocks_the_access(registry: Registry, detail_type: str) -> None:
    access_id, events = "mediatailor/sourceLocation/sports-origin", boto3.client("events")
    registry.locks.lock(access_id, EXECUTION_ARN)
    with Stubber(events) as stubber:
        stubber.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}]}, {"Entries": ANY})
        ended = report(detail_type, accessId=access_id, caught=caught("InvalidRequest"))
        report_outcome(ended, registry, events, "requests")
    registry.locks.lock(access_id, f"{EXECUTION_ARN}-2")


def test_a_request_that_waits_for_a_lock_does_not_release_it(registry: Registry) -> None:
    access_id, events = "mediatailor/sourceLocation/sports-origin", boto3.client("events")
    registry.locks.lock(access_id, f"{EXECUTION_ARN}-2")
    with Stubber(events) as stubber:
        stubber.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}]}, {"Entries": ANY})
        failed = report("Request Failed", accessId=access_id, caught=caught("NotYetEffective"))
        report_outcome(failed, registry, events, "requests")
    with pytest.raises(NotYetEffective):
        registry.locks.lock(access_id, f"{EXECUTION_ARN}-3")


def test_an_outcome_that_eventbridge_rejects_is_retried(registry: Registry) -> None:
    events = boto3.client("events")
    refusal = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": TOKEN}]}
    with Stubber(events) as stubber:
        stubber.add_response("put_events", refusal, {"Entries": ANY})
        with pytest.raises(TransientAwsError, match="InternalFailure") as raised:
            report_outcome(onboarded(), registry, events, "requests")
    assert TOKEN not in str(raised.value)
