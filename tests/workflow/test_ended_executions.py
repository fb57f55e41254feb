"""The request of an execution that ended without an outcome gets one outcome, and its lock is released."""

from typing import Any

import pytest

from local_aws.tools.embedded_aws import until
from tests.workflow.onboarding import Onboarding


@pytest.fixture
def onboarding(fast_onboarding: Onboarding) -> Onboarding:
    """EndRequest waits a minute and a half for functions that can still run."""
    return fast_onboarding


def _begin(onboarding: Onboarding, detail: dict[str, Any]) -> str:
    """Sends a request, waits until its key exists, and returns the ARN of its execution."""
    onboarding.put(detail)
    until(lambda: detail["key"]["alias"] in onboarding.account_snapshot()["aliases"], "the request's key", 60)
    [running] = onboarding.executions("Onboard", statusFilter="RUNNING")
    arn: str = running["executionArn"]
    return arn


def test_aborted_execution_is_rolled_back_and_reported(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    execution = _begin(onboarding, detail)

    onboarding.aws.client("stepfunctions").stop_execution(executionArn=execution)
    event = onboarding.outcomes.wait_for(detail["requestId"], 180)

    assert (event["detail-type"], event["detail"]["changed"]) == ("Request Failed", False)
    assert event["detail"]["failure"] == {"name": "ExecutionEnded", "message": "the execution was aborted"}
    assert any("for deletion in 7 days" in result for result in event["detail"]["undone"])
    assert onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})["status"] == "active"
    assert len(onboarding.outcomes.of(detail["requestId"])) == 1


def test_aborted_plan_is_reported_and_has_nothing_to_roll_back(onboarding: Onboarding) -> None:
    before, detail = onboarding.account_snapshot(), onboarding.detail(mode="plan")
    hold = {"caller": "PlanAccess", "service": "dynamodb", "operation": "GetItem", "error": "hold"}
    onboarding.aws.control("POST", "faults", hold)
    onboarding.put(detail)
    until(lambda: onboarding.aws.control("GET", "faults"), "the plan to be held", 60)
    [running] = onboarding.executions("Onboard", statusFilter="RUNNING")

    onboarding.aws.client("stepfunctions").stop_execution(executionArn=running["executionArn"])
    onboarding.aws.control("DELETE", "held")
    event = onboarding.outcomes.wait_for(detail["requestId"], 180)

    assert (event["detail-type"], event["detail"]["changed"]) == ("Request Failed", False)
    assert event["detail"]["failure"]["name"] == "ExecutionEnded"
    assert (event["detail"]["undone"], event["detail"]["left"]) == ([], [])
    assert onboarding.account_snapshot() == before
    applied = {name: value for name, value in detail.items() if name != "mode"}
    assert onboarding.onboard(applied | {"requestId": f"again-{detail['requestId']}"})["status"] == "active"


def test_unpublished_outcome_is_published_later(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    execution = _begin(onboarding, detail)
    fault = {"service": "events", "operation": "PutEvents", "error": "SomethingInvalid", "status": 400, "times": 6}
    onboarding.aws.control("POST", "faults", fault)

    event = onboarding.outcomes.wait_for(detail["requestId"], 60)

    assert (event["detail-type"], event["detail"]["status"]) == ("Access Onboarded", "active")
    result = onboarding.aws.client("stepfunctions").describe_execution(executionArn=execution)
    assert (result["status"], result["error"]) == ("FAILED", "OutcomeNotReported")
    assert onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})["status"] == "unchanged"


def test_recorded_access_is_validated_again_and_reported(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    fault = {"caller": "ReportOutcome", "error": "SomethingInvalid", "status": 400, "times": 6}
    onboarding.aws.control("POST", "faults", fault)

    event = onboarding.send(detail)

    # Every attempt of report_outcome in the execution failed before it recorded the outcome.
    [execution] = [e for e in onboarding.executions("Onboard") if e["executionArn"] == event["detail"]["executionArn"]]
    assert execution["status"] == "FAILED"
    assert (event["detail-type"], event["detail"]["status"]) == ("Access Onboarded", "active")
    assert len(onboarding.outcomes.of(detail["requestId"])) == 1
    assert onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})["status"] == "unchanged"


def test_reported_outcome_is_not_reported_again(onboarding: Onboarding) -> None:
    before = {execution["executionArn"] for execution in onboarding.executions("EndRequest")}
    detail = onboarding.detail(system="mediatailer")

    onboarding.reject(detail)

    def ended() -> list[dict[str, Any]]:
        found = [execution for execution in onboarding.executions("EndRequest") if execution["executionArn"] not in before]
        return [execution for execution in found if execution["status"] == "SUCCEEDED"]

    until(ended, "the look at the execution", 60)
    assert len(onboarding.outcomes.of(detail["requestId"])) == 1


def test_denied_undo_is_finished_by_the_sweep(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    onboarding.aws.control("POST", "faults", {"service": "mediatailor", "operation": "ListAlerts", "error": "Refused"})
    refused = {"caller": "UndoOnboarding", "service": "secretsmanager", "operation": "DeleteSecret", "error": "Refused"}
    onboarding.aws.control("POST", "faults", refused | {"lasting": True})
    result = onboarding.send(detail)["detail"]
    assert (result["status"], result["changed"]) == ("failed", True)
    name = f"latchkey/mediatailor/{detail['resource']['sourceLocation']}/token"
    assert onboarding.secretsmanager.describe_secret(SecretId=name)["ARN"]

    onboarding.aws.control("DELETE", "faults")
    onboarding.put({}, "Reconciliation Requested")

    def aliases() -> set[str]:
        pages = onboarding.kms.get_paginator("list_aliases").paginate()
        return {alias["AliasName"] for page in pages for alias in page["Aliases"]}

    # The key is deleted last.
    until(lambda: detail["key"]["alias"] not in aliases(), "what was left is gone", 60)
    assert not onboarding.secretsmanager.list_secrets(Filters=[{"Key": "name", "Values": [name]}])["SecretList"]
    assert onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})["status"] == "active"
