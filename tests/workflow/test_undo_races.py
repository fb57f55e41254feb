"""A second request during the undo of the first, at a sample of the calls of the undo or at all of them: both finish."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from local_aws.tools.embedded_aws import until
from tests.sampling import WHOLE, Place, one_in
from tests.workflow.fault_injection import LATE, UNDO, Detail, FaultInjection


def _same_alias(fault_injection: FaultInjection, first: Detail) -> Detail:
    return fault_injection.detail(key=first["key"])


def _same_access(fault_injection: FaultInjection, first: Detail) -> Detail:
    return first | {"requestId": f"second-{first['requestId']}"}


@pytest.mark.long
@pytest.mark.timeout(0 if WHOLE else 300)
@pytest.mark.parametrize("second_of", [_same_alias, _same_access])
def test_request_concurrent_with_an_undo_succeeds_and_the_undo_finishes(
    fault_injection: FaultInjection, report_sample: Callable[[str], None], second_of: Any
) -> None:
    waited = []
    calls = fault_injection.calls(UNDO, fault_injection.detail(), LATE)
    places = one_in(16).places(calls)
    for call in places:
        first = fault_injection.detail()
        second = second_of(fault_injection, first)
        is_held = _hold(fault_injection, first, call)
        fault_injection.put(second)
        if is_held:
            waited.append(until(partial(fault_injection.outcome_or_error, second), "the second request to wait or to end", 30))
        fault_injection.aws.control("DELETE", "faults")

        assert fault_injection.outcomes.wait_for(first["requestId"])["detail-type"] == "Request Failed", call
        event = fault_injection.outcomes.wait_for(second["requestId"])
        assert event["detail-type"] == "Access Onboarded", (call, event)
        key = fault_injection.kms.describe_key(KeyId=event["detail"]["resources"]["keyArn"])["KeyMetadata"]
        assert key["KeyState"] == "Enabled", (call, waited)
        assert fault_injection.kms.describe_key(KeyId=second["key"]["alias"])["KeyMetadata"]["Arn"] == key["Arn"], call
        assert fault_injection.token(event["detail"]["resources"]["secretArn"]), call

    assert "NotYetEffective" in waited
    report_sample(f"{len(waited)} of {sum(calls.values())} calls")


def _hold(fault_injection: FaultInjection, first: Detail, place: Place) -> bool:
    """Sends a request that fails late and holds its undo at a call. Returns whether the undo made that call."""
    hold = {"error": "hold", "caller": place.caller, "call": place.call}
    for fault in (LATE, hold):
        fault_injection.aws.control("POST", "faults", fault | {"request": first["requestId"]})
    fault_injection.put(first)

    def met_or_ended() -> str | None:
        met = [one["principal"] for one in fault_injection.aws.control("GET", "faults") if UNDO in one["principal"]]
        ended = [event["detail-type"] for event in fault_injection.outcomes.of(first["requestId"])]
        return next(iter((*met, *ended)), None)

    return UNDO in (until(met_or_ended, "the undo", 60) or "")
