"""How long a revoked grant was orphaned: exactly after a trail event that explains it, and otherwise in a range."""

from datetime import UTC, datetime, timedelta

import pytest

from latchkey.cleanup.exposure import Exposure, exposure_of
from latchkey.cleanup.verdict import Reason
from latchkey.events.cleanup import TrailEvent
from latchkey.events.outcomes import RemovedGrant

SURVEYED = datetime(2026, 11, 22, 10, tzinfo=UTC)
DELETED = TrailEvent(eventId="e-1", eventName="DeleteSourceLocation", eventTime=SURVEYED - timedelta(seconds=30))


def removed(by: str = "latchkey", after: int = 600, reason: Reason = Reason.RESOURCE_GONE) -> RemovedGrant:
    at = SURVEYED + timedelta(seconds=after)
    members = {"keyArn": "key", "removedBy": by, "reason": reason.text(), "evidence": (), "removedAt": at}
    return RemovedGrant.model_validate(members)


def test_the_cause_gives_the_exact_time() -> None:
    exposure = exposure_of([removed()], SURVEYED, DELETED, [SURVEYED - timedelta(hours=1)])

    assert exposure.members == {"exposureSeconds": 630.0}


def test_an_event_that_is_later_than_the_survey_counts_from_the_survey() -> None:
    late = DELETED.model_copy(update={"event_time": SURVEYED + timedelta(seconds=60)})

    assert exposure_of([removed()], SURVEYED, late, []) == Exposure(600.0, 600.0)


@pytest.mark.parametrize(
    ("event_name", "reason"), [("DeleteSourceLocation", Reason.SECRET_GONE), ("PutKeyPolicy", Reason.RESOURCE_GONE)]
)
def test_an_event_that_is_not_the_cause_gives_a_range(event_name: str, reason: Reason) -> None:
    other = DELETED.model_copy(update={"event_name": event_name})

    exposure = exposure_of([removed(reason=reason)], SURVEYED, other, [SURVEYED - timedelta(hours=1)])

    assert exposure.members == {"exposureSeconds": 4200.0, "exposureSecondsAtLeast": 600.0, "exposureSecondsAtMost": 4200.0}


@pytest.mark.parametrize("in_use", [[], [None], [SURVEYED + timedelta(seconds=1)], [SURVEYED + timedelta(hours=1)]])
def test_without_an_earlier_time_of_use_only_the_least_is_known(in_use: list[datetime | None]) -> None:
    exposure = exposure_of([removed()], SURVEYED, None, in_use)

    assert exposure.members == {"exposureSeconds": 600.0, "exposureSecondsAtLeast": 600.0, "exposureSecondsAtMost": None}


def test_a_time_of_use_in_the_second_of_the_survey_was_before_it() -> None:
    exposure = exposure_of([removed()], SURVEYED, None, [SURVEYED + timedelta(milliseconds=700)])

    assert exposure == Exposure(600.0, 600.0)


def test_the_latest_time_of_use_and_the_longest_exposure_count() -> None:
    in_use = [SURVEYED - timedelta(hours=2), None, SURVEYED - timedelta(hours=1)]

    assert exposure_of([removed(), removed(after=700)], SURVEYED, None, in_use) == Exposure(700.0, 4300.0)


def test_a_grant_that_the_service_retired_does_not_count() -> None:
    exposure = exposure_of([removed("service"), removed("either")], SURVEYED, DELETED, [])

    assert (exposure, exposure.seconds) == (Exposure(), None)
