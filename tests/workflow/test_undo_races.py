"""A second request that meets the first one's undo, held before each of its calls: it waits or goes on, and both end well."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded, until
from local_aws.tools.outcomes import Outcomes
from tests.workflow.striking import LATE, UNDO, Detail, Striking


@pytest.fixture
def striking(hurried: Embedded, hurried_outcomes: Outcomes) -> Iterator[Striking]:
    yield Striking(hurried, hurried_outcomes)
    hurried.control("DELETE", "faults")


def _same_alias(striking: Striking, first: Detail) -> Detail:
    return striking.detail(key=first["key"])


def _same_access(striking: Striking, first: Detail) -> Detail:
    return first | {"requestId": f"second-{first['requestId']}"}


@pytest.mark.parametrize("second_of", [_same_alias, _same_access])
def test_a_request_that_meets_an_undo_ends_well_and_so_does_the_undo(striking: Striking, second_of: Any) -> None:
    waited = []
    for call in count(1):
        first = striking.detail()
        second = second_of(striking, first)
        is_held = _hold(striking, first, call)
        striking.put(second)
        if is_held:
            waited.append(until(partial(striking.has_come_to, second), "the second request to wait or to end", 30))
        striking.aws.control("DELETE", "faults")

        assert striking.outcomes.wait_for(first["requestId"])["detail-type"] == "Request Failed", call
        event = striking.outcomes.wait_for(second["requestId"])
        assert event["detail-type"] == "Access Onboarded", (call, event)
        key = striking.kms.describe_key(KeyId=event["detail"]["resources"]["keyArn"])["KeyMetadata"]
        assert key["KeyState"] == "Enabled", (call, waited)
        assert striking.kms.describe_key(KeyId=second["key"]["alias"])["KeyMetadata"]["Arn"] == key["Arn"], call
        assert striking.token(event["detail"]["resources"]["secretArn"]), call
        if not is_held:
            break

    assert "NotYetEffective" in waited


def _hold(striking: Striking, first: Detail, call: int) -> bool:
    """Sends a request that fails late, and holds its undo before one of its calls; whether it came to that call."""
    hold = {"error": "hold", "caller": UNDO, "call": call}
    for fault in (LATE, hold):
        striking.aws.control("POST", "faults", fault | {"request": first["requestId"]})
    striking.put(first)

    def met_or_ended() -> str | None:
        met = [one["principal"] for one in striking.aws.control("GET", "faults") if UNDO in one["principal"]]
        ended = [event["detail-type"] for event in striking.outcomes.of(first["requestId"])]
        return next(iter((*met, *ended)), None)

    return UNDO in (until(met_or_ended, "the undo", 60) or "")
