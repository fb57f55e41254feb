"""An execution that ends without having told anybody: its request is answered all the same, once, and holds nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded, until
from local_aws.tools.outcomes import Outcomes
from tests.workflow.conftest import Onboarding


@pytest.fixture
def onboarding(hurried: Embedded, hurried_outcomes: Outcomes) -> Iterator[Onboarding]:
    """Nobody waits a minute and a half here for functions that may still run."""
    yield Onboarding(hurried, hurried_outcomes)
    hurried.control("DELETE", "faults")


def _begin(onboarding: Onboarding, detail: dict[str, Any]) -> str:
    """Sends a request and waits until it has made its key; returns its execution's ARN."""
    onboarding.put(detail)
    until(lambda: detail["key"]["alias"] in onboarding.everything()["aliases"], "the request's key", 60)
    [running] = onboarding.executions("Onboard", statusFilter="RUNNING")
    arn: str = running["executionArn"]
    return arn


def test_an_aborted_execution_is_undone_and_told(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    execution = _begin(onboarding, detail)

    onboarding.aws.client("stepfunctions").stop_execution(executionArn=execution)
    event = onboarding.outcomes.wait_for(detail["requestId"], 180)

    assert (event["detail-type"], event["detail"]["changed"]) == ("Request Failed", False)
    assert event["detail"]["failure"] == {"name": "ExecutionEnded", "message": "the execution was aborted"}
    assert any("for deletion in 7 days" in told for told in event["detail"]["undone"])
    assert onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})["status"] == "active"
    assert len(onboarding.outcomes.of(detail["requestId"])) == 1


def test_an_outcome_that_could_not_be_published_is_published_later(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    execution = _begin(onboarding, detail)
    fault = {"service": "events", "operation": "PutEvents", "error": "SomethingInvalid", "status": 400, "times": 6}
    onboarding.aws.control("POST", "faults", fault)

    event = onboarding.outcomes.wait_for(detail["requestId"], 60)

    assert (event["detail-type"], event["detail"]["status"]) == ("Access Onboarded", "active")
    told = onboarding.aws.client("stepfunctions").describe_execution(executionArn=execution)
    assert (told["status"], told["error"]) == ("FAILED", "OutcomeNotReported")
    assert onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})["status"] == "unchanged"


def test_an_access_that_was_recorded_is_proven_anew_and_told(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    fault = {"caller": "ReportOutcome", "error": "SomethingInvalid", "status": 400, "times": 6}
    onboarding.aws.control("POST", "faults", fault)

    event = onboarding.send(detail)

    # Every attempt of the execution's own report failed before the outcome was recorded.
    [execution] = [e for e in onboarding.executions("Onboard") if e["executionArn"] == event["detail"]["executionArn"]]
    assert execution["status"] == "FAILED"
    assert (event["detail-type"], event["detail"]["status"]) == ("Access Onboarded", "active")
    assert len(onboarding.outcomes.of(detail["requestId"])) == 1
    assert onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})["status"] == "unchanged"


def test_what_was_reported_is_not_reported_again(onboarding: Onboarding) -> None:
    before = {execution["executionArn"] for execution in onboarding.executions("EndRequest")}
    detail = onboarding.detail(system="mediatailer")

    onboarding.reject(detail)

    def ended() -> list[dict[str, Any]]:
        found = [execution for execution in onboarding.executions("EndRequest") if execution["executionArn"] not in before]
        return [execution for execution in found if execution["status"] == "SUCCEEDED"]

    until(ended, "the look at the execution", 60)
    assert len(onboarding.outcomes.of(detail["requestId"])) == 1


def test_an_undo_that_was_refused_is_finished_by_the_sweep(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    onboarding.aws.control("POST", "faults", {"service": "mediatailor", "operation": "ListAlerts", "error": "Refused"})
    refused = {"caller": "UndoOnboarding", "service": "secretsmanager", "operation": "DeleteSecret", "error": "Refused"}
    onboarding.aws.control("POST", "faults", refused | {"lasting": True})
    told = onboarding.send(detail)["detail"]
    assert (told["status"], told["changed"]) == ("failed", True)
    name = f"latchkey/mediatailor/{detail['resource']['sourceLocation']}/token"
    assert onboarding.secretsmanager.describe_secret(SecretId=name)["ARN"]

    onboarding.aws.control("DELETE", "faults")
    onboarding.put({}, "Reconciliation Requested")

    def aliases() -> set[str]:
        pages = onboarding.kms.get_paginator("list_aliases").paginate()
        return {alias["AliasName"] for page in pages for alias in page["Aliases"]}

    # The key goes last.
    until(lambda: detail["key"]["alias"] not in aliases(), "what was left is gone", 60)
    assert not onboarding.secretsmanager.list_secrets(Filters=[{"Key": "name", "Values": [name]}])["SecretList"]
    assert onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})["status"] == "active"
