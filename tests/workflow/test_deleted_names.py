"""The name of a secret that a rollback deleted: Secrets Manager can keep it taken for a while."""

from typing import Any

from tests.workflow.onboarding import Onboarding

FAILURE = {"service": "mediatailor", "operation": "CreateSourceLocation", "error": "SomethingInvalid", "status": 409}


def repeated_after_a_rollback(onboarding: Onboarding, taken_for: float) -> dict[str, Any]:
    """Lets a request be rolled back while names stay taken for some seconds. Returns the same request with another ID."""
    onboarding.aws.control("PUT", "assumptions", {"forcedDeletionSeconds": taken_for})
    detail = onboarding.detail()
    onboarding.aws.control("POST", "faults", FAILURE | {"request": detail["requestId"]})
    assert onboarding.send(detail)["detail-type"] == "Request Failed"
    return detail | {"requestId": f"again-{detail['requestId']}"}


def test_request_after_a_rollback_waits_until_the_name_is_free(onboarding: Onboarding) -> None:
    again = repeated_after_a_rollback(onboarding, 8)

    assert onboarding.onboard(again)["status"] == "active"


def test_name_that_stays_taken_is_reported(fast_onboarding: Onboarding) -> None:
    again = repeated_after_a_rollback(fast_onboarding, 3600)

    failed = fast_onboarding.send(again)

    assert failed["detail-type"] == "Request Failed"
    assert failed["detail"]["failure"]["name"] == "NotYetEffective"
    assert "is being deleted" in failed["detail"]["failure"]["message"]
    assert failed["detail"]["changed"] is False
