"""MediaPackage v2 answers AccessDeniedException if Secrets Manager throttles it."""

import pytest

from local_aws.tools.embedded_aws import Embedded
from tests.workflow.consumer_resources import CONSUMERS
from tests.workflow.onboarding import Onboarding

DENIED = {"service": "mediapackagev2", "error": "AccessDeniedException", "status": 403, "caller": "latchkey-(?!Undo)"}


@pytest.mark.parametrize("operation", ["GetOriginEndpointPolicy", "PutOriginEndpointPolicy"])
def test_a_denial_that_passes_is_retried(fast_onboarding: Onboarding, fast_aws: Embedded, operation: str) -> None:
    consumer = CONSUMERS["mediapackagev2"](fast_aws)
    fast_aws.control("POST", "faults", DENIED | {"operation": operation, "times": 3})

    assert fast_onboarding.onboard(consumer.detail)["status"] == "active"


def test_a_denial_that_stays_is_reported_with_its_own_text(fast_onboarding: Onboarding, fast_aws: Embedded) -> None:
    consumer = CONSUMERS["mediapackagev2"](fast_aws)
    before = consumer.settings()
    text = "User: latchkey is not authorized"
    fast_aws.control("POST", "faults", DENIED | {"operation": "GetOriginEndpointPolicy", "lasting": True, "message": text})

    failed = fast_onboarding.send(consumer.detail)["detail"]

    assert (failed["failure"]["name"], failed["changed"]) == ("TransientAwsError", False)
    assert text in failed["failure"]["message"]
    fast_aws.control("DELETE", "faults")
    assert consumer.settings() == before
