"""The name of a secret that a rollback deleted: Secrets Manager can keep it taken for a while."""

from local_aws.tools.embedded_aws import Embedded
from tests.workflow.onboarding import Onboarding

FAILURE = {"service": "mediatailor", "operation": "CreateSourceLocation", "error": "SomethingInvalid", "status": 409}


def test_request_after_a_rollback_waits_until_the_name_is_free(onboarding: Onboarding, aws: Embedded) -> None:
    aws.control("PUT", "assumptions", {"forcedDeletionSeconds": 8})
    detail = onboarding.detail()
    aws.control("POST", "faults", FAILURE | {"request": detail["requestId"]})
    assert onboarding.send(detail)["detail-type"] == "Request Failed"

    outcome = onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})

    assert outcome["status"] == "active"


def test_name_that_stays_taken_is_reported(fast_onboarding: Onboarding, fast_aws: Embedded) -> None:
    fast_aws.control("PUT", "assumptions", {"forcedDeletionSeconds": 3600})
    detail = fast_onboarding.detail()
    fast_aws.control("POST", "faults", FAILURE | {"request": detail["requestId"]})
    assert fast_onboarding.send(detail)["detail-type"] == "Request Failed"

    failed = fast_onboarding.send(detail | {"requestId": f"again-{detail['requestId']}"})

    assert failed["detail-type"] == "Request Failed"
    assert failed["detail"]["failure"]["name"] == "NotYetEffective"
    assert "is being deleted" in failed["detail"]["failure"]["message"]
    assert failed["detail"]["changed"] is False
