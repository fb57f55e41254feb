"""What a clean-up did is published once, even if EventBridge refuses the event or the access cannot be observed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_aws.tools.embedded_aws import until
from tests.workflow.clean_ups import Access, CleanUps
from tests.workflow.onboarding import Onboarding


@pytest.fixture
def clean_ups(onboarding: Onboarding) -> CleanUps:
    """Without trail events and without retirements by MediaTailor."""
    onboarding.aws.control("PUT", "assumptions", {"trail": {"lose": 1}, "mediatailorRetires": "never"})
    return CleanUps(onboarding)


def _removals(clean_ups: CleanUps, access: Access) -> list[tuple[str, str]]:
    """The ids of the events about removed grants of an access, and who removed each grant."""
    events = [event["detail"] for event in clean_ups.onboarding.outcomes.all() if event["detail-type"] == "Grants Cleaned Up"]
    return [
        (one["outcomeId"], by["removedBy"]) for one in events if one["accessId"] == access.access_id for by in one["removed"]
    ]


def _publishing_period_passes(clean_ups: CleanUps, access: Access) -> None:
    """Dates the recorded notice back, so that it no longer belongs to the execution that recorded it."""
    [item] = clean_ups.items("notice", access)
    notice = json.loads(item["notice"]["S"]) | {"at": (datetime.now(UTC) - timedelta(minutes=11)).isoformat()}
    dynamodb = clean_ups.aws.client("dynamodb")
    [table] = [name for name in dynamodb.list_tables()["TableNames"] if "AccessTable" in name]
    dynamodb.put_item(TableName=table, Item=item | {"notice": {"S": json.dumps(notice)}})


def test_refused_event_about_a_removed_grant_is_published_after_the_next_sweep(clean_ups: CleanUps) -> None:
    [access] = clean_ups.new_accesses(1)
    clean_ups.delete_location(access)
    refused: dict[str, Any] = {"caller": "ReportCleanUp", "service": "events", "operation": "PutEvents", "lasting": True}
    clean_ups.aws.control("POST", "faults", refused | {"error": "AccessDeniedException", "status": 403})
    clean_ups.finish(clean_ups.start(access), "FAILED")
    assert (clean_ups.grants(access), _removals(clean_ups, access)) == ([], [])

    clean_ups.aws.control("DELETE", "faults")
    _publishing_period_passes(clean_ups, access)
    clean_ups.onboarding.put({}, "Reconciliation Requested")

    until(lambda: _removals(clean_ups, access), "the event about the removed grant", 60)
    assert [by for _, by in _removals(clean_ups, access)] == ["latchkey"]
    until(lambda: all("publishedAt" in item for item in clean_ups.items("notice", access)), "an empty outbox", 10)


def test_sweep_that_finds_a_deletion_late_reports_a_range_of_time(clean_ups: CleanUps) -> None:
    """The first sweep saw the location in use, and no event said when it was deleted."""
    [access] = clean_ups.new_accesses(1)
    clean_ups.onboarding.sweep()
    clean_ups.onboarding.await_later_second()
    clean_ups.delete_location(access)

    def found() -> list[dict[str, Any]]:
        """Sweeps within one grace period start an execution only once."""
        clean_ups.onboarding.sweep()
        events = [event for event in clean_ups.onboarding.outcomes.all() if event["detail-type"] == "Grants Cleaned Up"]
        return [event["detail"] for event in events if event["detail"]["accessId"] == access.access_id]

    [cleaned] = until(found, "the event about the removed grant", 60)
    assert {"exposureSecondsAtLeast", "exposureSecondsAtMost"} <= cleaned.keys(), cleaned
    assert cleaned["exposureSecondsAtLeast"] < cleaned["exposureSecondsAtMost"] == cleaned["exposureSeconds"]


def test_failed_observation_does_not_make_the_service_the_author_of_a_revocation(clean_ups: CleanUps) -> None:
    [access] = clean_ups.new_accesses(1)
    clean_ups.delete_location(access)
    failing = {"caller": "ObserveAccess", "error": "SomethingInvalid", "status": 400, "lasting": True}
    clean_ups.aws.control("POST", "faults", failing)
    clean_ups.finish(clean_ups.start(access))
    assert [by for _, by in _removals(clean_ups, access)] == ["latchkey"]

    clean_ups.aws.control("DELETE", "faults")
    clean_ups.run(access)

    assert [by for _, by in _removals(clean_ups, access)] == ["latchkey"]
    assert [item["status"]["S"] for item in clean_ups.items("access", access)] == ["gone"]
