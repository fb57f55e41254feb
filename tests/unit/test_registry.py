"""The registry writes conditionally, and records one outcome for each request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.access.record import AccessRecord
from latchkey.aws.errors import settling
from latchkey.aws.secrets import name_of_secret
from latchkey.errors import AccessDenied, Conflict, NotYetEffective, TransientAwsError
from latchkey.registry import Registry
from latchkey.registry.access_locks import LockHolder
from latchkey.registry.accesses import AnnouncedRequest
from latchkey.registry.requests import JUST_STARTED, MOST_REUSES, RETRIED_FOR, RequestRef, Unanswered
from latchkey.registry.table import Table
from latchkey.requests.parsing import parse_onboarding
from tests import dynamodb
from tests.unit.samples import EXECUTION_ARN, EXISTING_ARN, KEY_ARN, PLACE, REGION, SECRET_ARN, detail

ACCESS, OTHER_ACCESS = (f"mediatailor/sourceLocation/{name}-origin" for name in ("sports", "news"))
OTHER_EXECUTION = f"{EXECUTION_ARN}-2"
WANTED, OTHER_WANTED = detail(), detail({"requestId": "request-2", "resource.sourceLocation": "news-origin"})
SECRET, ALIAS = "secret latchkey/mediatailor/sports-origin/token", "alias/latchkey/mediatailor"
HASH, OTHER_HASH = "a" * 64, "b" * 64
REQUEST, OTHER_REQUEST = RequestRef("request-1", HASH), RequestRef("request-1", OTHER_HASH)
RECORD = AccessRecord(
    access_id=ACCESS,
    system="mediatailor",
    status="active",
    request_id="request-1",
    key_arn=KEY_ARN,
    secret_arn=SECRET_ARN,
    resource_arn=PLACE.arn("mediatailor", "sourceLocation/sports-origin"),
)


def item(kind: str, item_id: str) -> dict[str, Any]:
    """An item in the table of the fixture `registry`."""
    key = {"kind": kind, "id": item_id}
    found: dict[str, Any] = dynamodb.resource().Table("accesses").get_item(Key=key).get("Item", {})
    return found


def _later(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    now = time.time()
    monkeypatch.setattr("latchkey.registry.access_locks.time.time", lambda: now + seconds)


def test_a_request_is_claimed_once_and_again_by_its_own_execution(registry: Registry) -> None:
    registry.requests.claim(REQUEST, EXECUTION_ARN)
    registry.requests.claim(REQUEST, EXECUTION_ARN)
    assert item("request", "request-1")["contentHash"] == HASH


@pytest.mark.parametrize(("content_hash", "execution"), [(OTHER_HASH, EXECUTION_ARN), (HASH, f"{EXECUTION_ARN}-2")])
def test_an_id_of_another_request_is_a_conflict(registry: Registry, content_hash: str, execution: str) -> None:
    registry.requests.claim(REQUEST, EXECUTION_ARN)
    with pytest.raises(Conflict, match="was already used"):
        registry.requests.claim(RequestRef("request-1", content_hash), execution)
    assert item("request", "request-1")["executionArn"] == EXECUTION_ARN


def test_a_request_with_an_outcome_is_not_claimed_again(registry: Registry) -> None:
    """Somebody redrove its execution."""
    registry.requests.claim(REQUEST, EXECUTION_ARN)
    registry.requests.record_outcome(REQUEST, "outcome-1", "Request Failed", "{}")
    with pytest.raises(Conflict, match="has ended with Request Failed"):
        registry.requests.claim(REQUEST, EXECUTION_ARN)


def test_a_received_request_is_found_whether_or_not_it_starts(registry: Registry) -> None:
    assert registry.requests.receive(REQUEST, "event-1", EXECUTION_ARN) == "event-1"
    assert registry.requests.receive(REQUEST, "event-2", EXECUTION_ARN) == "event-1"

    recorded = item("request", "request-1")
    assert [recorded[name] for name in ("contentHash", "eventId", "tenant", "executionArn")] == [
        HASH,
        "event-1",
        "default",
        EXECUTION_ARN,
    ]
    soon = datetime.now(UTC) + timedelta(seconds=1)
    assert [*registry.requests.unanswered(soon)] == [Unanswered(EXECUTION_ARN, "request-1")]
    received = registry.requests.received("request-1")
    assert received
    assert (received.ref, received.event_id, received.has_outcome) == (REQUEST, "event-1", False)
    assert registry.requests.received("request-2") is None


def test_an_id_is_received_with_one_content_only(registry: Registry) -> None:
    registry.requests.receive(REQUEST, "event-1", EXECUTION_ARN)
    with pytest.raises(Conflict, match="was already used"):
        registry.requests.receive(OTHER_REQUEST, "event-2", OTHER_EXECUTION)
    assert item("request", "request-1")["eventId"] == "event-1"


def test_each_tenant_has_its_own_request_ids(registry: Registry) -> None:
    sports = RequestRef("request-1", OTHER_HASH, "sports")
    registry.requests.receive(REQUEST, "event-1", EXECUTION_ARN)
    registry.requests.receive(sports, "event-2", OTHER_EXECUTION)
    registry.requests.claim(sports, OTHER_EXECUTION)
    registry.requests.record_outcome(sports, "o-2", "Request Rejected", "{}")

    assert (registry.requests.has_outcome(sports), registry.requests.has_outcome(REQUEST)) == (True, False)
    received = registry.requests.received("sports/request-1")
    assert received
    assert received.ref == sports


def test_an_abandoned_request_is_not_claimed_and_a_claimed_one_not_abandoned(registry: Registry) -> None:
    registry.requests.receive(REQUEST, "event-1", EXECUTION_ARN)
    assert registry.requests.abandon(REQUEST, EXECUTION_ARN)
    assert registry.requests.abandon(REQUEST, EXECUTION_ARN), "a retry"
    with pytest.raises(Conflict, match="not started in time"):
        registry.requests.claim(REQUEST, EXECUTION_ARN)

    started = RequestRef("request-2", HASH)
    registry.requests.receive(started, "event-2", OTHER_EXECUTION)
    registry.requests.claim(started, OTHER_EXECUTION)
    assert not registry.requests.abandon(started, OTHER_EXECUTION)
    registry.requests.claim(started, OTHER_EXECUTION)


def test_a_request_whose_execution_was_deleted_long_ago_is_abandoned(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.requests.claim(REQUEST, EXECUTION_ARN)
    monkeypatch.setattr("latchkey.registry.requests.JUST_STARTED", -JUST_STARTED)

    assert registry.requests.abandon(REQUEST, EXECUTION_ARN)


def test_an_outcome_is_recorded_once(registry: Registry) -> None:
    registry.requests.claim(REQUEST, EXECUTION_ARN)
    first = registry.requests.record_outcome(REQUEST, "o-1", "Access Onboarded", '{"first": true}')
    second = registry.requests.record_outcome(REQUEST, "o-2", "Request Failed", "{}")
    assert first == second == ("Access Onboarded", '{"first": true}')
    assert item("request", "request-1")["outcomeId"] == "o-1"
    assert item("request", "request-1")["executionArn"] == EXECUTION_ARN


def test_a_request_that_was_never_claimed_has_an_outcome_too(registry: Registry) -> None:
    assert registry.requests.record_outcome(REQUEST, "o-1", "Request Failed", "{}") == ("Request Failed", "{}")
    assert item("request", "request-1")["contentHash"] == HASH


def test_another_request_under_a_used_id_has_its_own_outcome(registry: Registry) -> None:
    registry.requests.claim(REQUEST, EXECUTION_ARN)
    for _ in range(2):
        recorded = registry.requests.record_outcome(OTHER_REQUEST, "o-2", "Request Rejected", '{"a": 1}')
        assert recorded == ("Request Rejected", '{"a": 1}')
    assert registry.requests.record_outcome(REQUEST, "o-1", "Access Onboarded", "{}") == ("Access Onboarded", "{}")
    assert item("request", "request-1")["outcomeId"] == "o-1"


def test_outcomes_of_two_requests_are_separate(registry: Registry) -> None:
    for content in (HASH, "b" * 64, "b" * 16 + "c" * 48):
        if content.endswith("c"):
            with pytest.raises(Conflict, match="share an id"):
                registry.requests.record_outcome(RequestRef("request-1", content), "o-3", "Request Failed", "{}")
        else:
            registry.requests.record_outcome(RequestRef("request-1", content), content[0], "Request Rejected", "{}")
    assert item("request", f"request-1/{'b' * 16}")["outcomeId"] == "b"


def test_a_saved_access_is_read_unchanged(registry: Registry) -> None:
    assert registry.accesses.get(RECORD.access_id) is None
    saved = registry.accesses.save(RECORD, WANTED)
    assert saved == replace(RECORD, version=1)
    assert registry.accesses.get(RECORD.access_id) == saved


def test_a_saved_access_counts_its_versions(registry: Registry) -> None:
    saved = registry.accesses.save(registry.accesses.save(RECORD, WANTED), WANTED)
    assert (saved.version, registry.accesses.get(RECORD.access_id)) == (2, saved)


def test_a_concurrently_written_access_is_not_overwritten(registry: Registry) -> None:
    first = registry.accesses.save(RECORD, WANTED)
    second = registry.accesses.save(replace(first, status="failed"), WANTED)
    with pytest.raises(TransientAwsError, match="written by another request"):
        registry.accesses.save(replace(first, status="active"), OTHER_WANTED)
    with pytest.raises(TransientAwsError, match="written by another request"):
        registry.accesses.save(RECORD, OTHER_WANTED)
    assert registry.accesses.get(RECORD.access_id) == second
    assert registry.accesses.recorded_request(RECORD.access_id) == parse_onboarding(WANTED)


def test_one_request_holds_the_lock_of_an_access(registry: Registry) -> None:
    for _ in range(2):
        registry.locks.lock(ACCESS, EXECUTION_ARN)
    with pytest.raises(NotYetEffective, match="another request is running"):
        registry.locks.lock(ACCESS, OTHER_EXECUTION)
    registry.locks.lock(OTHER_ACCESS, OTHER_EXECUTION)
    registry.locks.unlock(ACCESS, OTHER_EXECUTION)
    with pytest.raises(NotYetEffective):
        registry.locks.lock(ACCESS, OTHER_EXECUTION)
    for _ in range(2):
        registry.locks.unlock(ACCESS, EXECUTION_ARN)
    registry.locks.lock(ACCESS, OTHER_EXECUTION)


FIRST, SECOND = RequestRef("request-1", "a" * 64), RequestRef("request-2", "b" * 64)


def test_the_request_that_has_the_access_is_named(registry: Registry) -> None:
    registry.locks.lock(ACCESS, EXECUTION_ARN, request=FIRST)

    with pytest.raises(NotYetEffective, match="request request-1 has been running"):
        registry.locks.lock(ACCESS, OTHER_EXECUTION, request=SECOND)


@pytest.mark.parametrize("tenants", [("news", "default"), ("default", "news")])
def test_a_request_of_another_tenant_is_not_named(registry: Registry, tenants: tuple[str, str]) -> None:
    first, second = (replace(ref, tenant=tenant) for ref, tenant in zip((FIRST, SECOND), tenants, strict=True))
    registry.locks.lock(ACCESS, EXECUTION_ARN, request=first)

    with pytest.raises(NotYetEffective, match="another request is running"):
        registry.locks.lock(ACCESS, OTHER_EXECUTION, request=second)


def test_the_lock_of_an_earlier_version_names_no_request(registry: Registry) -> None:
    """The former holder was a request that is named."""
    registry.locks.lock(ACCESS, EXECUTION_ARN, request=FIRST)
    registry.locks.lock(ACCESS, EXECUTION_ARN)

    with pytest.raises(NotYetEffective, match="another request is running"):
        registry.locks.lock(ACCESS, OTHER_EXECUTION, request=SECOND)


def test_a_wait_is_recorded_until_it_ends(registry: Registry) -> None:
    registry.requests.receive(FIRST, "e-1", EXECUTION_ARN)
    for reason in ("one", "two"):
        registry.requests.note_waiting("request-1", "default", reason)
    waiting = item("request", "request-1")

    since, until = (datetime.fromisoformat(waiting[name]) for name in ("waitingSince", "waitingUntil"))
    assert (waiting["waitingFor"], until - since) == ("two", RETRIED_FOR)
    for _ in range(2):
        registry.requests.end_waiting("request-1", "default")
    ended = item("request", "request-1")
    assert ended["waitedFor"] == "two"
    assert not {"waitingFor", "waitingSince", "waitingUntil"} & {*ended}


def test_an_outcome_ends_a_wait(registry: Registry) -> None:
    registry.requests.receive(FIRST, "e-1", EXECUTION_ARN)
    registry.requests.note_waiting("request-1", "default", "one")

    registry.requests.record_outcome(FIRST, "o-1", "Request Failed", "{}")

    assert not {"waitingSince", "waitingUntil"} & {*item("request", "request-1")}


def test_nothing_waits_without_a_recorded_request(registry: Registry) -> None:
    registry.requests.note_waiting("request-1", "default", "one")
    registry.requests.end_waiting("request-1", "default")

    assert item("request", "request-1") == {}


def test_events_that_reuse_an_id_are_listed_up_to_a_limit(registry: Registry) -> None:
    registry.requests.note_reuse(FIRST, "e-0")
    assert item("request", "request-1") == {}
    registry.requests.receive(FIRST, "e-1", EXECUTION_ARN)

    for number in range(MOST_REUSES + 5):
        registry.requests.note_reuse(SECOND if number % 2 else FIRST, f"e-{number + 2}")

    assert item("request", "request-2") == {}
    listed = item("request", "request-1")["reusedBy"]
    assert 0 < len(listed) <= MOST_REUSES


def test_unlocking_without_a_lock_changes_nothing(registry: Registry) -> None:
    registry.locks.unlock(ACCESS, EXECUTION_ARN)
    assert item("access", ACCESS) == {}


def _is_over(_holder: LockHolder) -> bool:
    return True


def test_a_lock_does_not_expire(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.locks.lock(ACCESS, EXECUTION_ARN)
    _later(monkeypatch, 365 * 24 * 3600)
    with pytest.raises(NotYetEffective):
        registry.locks.lock(ACCESS, OTHER_EXECUTION)
    assert registry.locks.is_locked(ACCESS)


def test_the_lock_of_an_execution_that_is_over_is_taken_over(registry: Registry) -> None:
    registry.locks.lock(ACCESS, EXECUTION_ARN)
    asked: list[LockHolder] = []

    def is_over(holder: LockHolder) -> bool:
        asked.append(holder)
        return True

    registry.locks.lock(ACCESS, OTHER_EXECUTION, is_over)
    registry.locks.unlock(ACCESS, EXECUTION_ARN)

    assert [holder.execution_arn for holder in asked] == [EXECUTION_ARN]
    assert item("access", ACCESS)["running"] == OTHER_EXECUTION


def test_only_one_request_takes_a_lock_over(registry: Registry) -> None:
    registry.locks.lock(ACCESS, EXECUTION_ARN)

    def is_over_and_another_is_faster(_: LockHolder) -> bool:
        registry.locks.lock(ACCESS, OTHER_EXECUTION, _is_over)
        return True

    with pytest.raises(NotYetEffective):
        registry.locks.lock(ACCESS, f"{EXECUTION_ARN}-3", is_over_and_another_is_faster)
    assert item("access", ACCESS)["running"] == OTHER_EXECUTION


def test_a_locked_access_is_not_recorded(registry: Registry) -> None:
    registry.locks.lock(ACCESS, EXECUTION_ARN)
    assert registry.accesses.get(ACCESS) is None
    assert registry.accesses.recorded_request(ACCESS) is None
    saved = registry.accesses.save(RECORD, WANTED)
    assert (saved.version, registry.accesses.get(ACCESS)) == (1, saved)


def test_a_failed_request_keeps_the_recorded_request(registry: Registry) -> None:
    assert registry.accesses.recorded_request(ACCESS) is None
    registry.accesses.save(RECORD, WANTED)
    registry.locks.lock(ACCESS, EXECUTION_ARN)
    assert registry.accesses.recorded_request(ACCESS) == parse_onboarding(WANTED)
    registry.locks.unlock(ACCESS, EXECUTION_ARN)
    assert registry.accesses.recorded_request(ACCESS) == parse_onboarding(WANTED)
    assert registry.accesses.get(ACCESS) == replace(RECORD, version=1)


def test_keys_and_secrets_list_their_accesses(registry: Registry) -> None:
    for _ in range(2):
        registry.resources.refer(KEY_ARN, ACCESS)
        registry.resources.refer(KEY_ARN, OTHER_ACCESS)
    registry.resources.refer(SECRET, ACCESS)
    assert registry.resources.others(KEY_ARN, ACCESS) == {OTHER_ACCESS}
    assert registry.resources.others(KEY_ARN, "a third") == {ACCESS, OTHER_ACCESS}
    assert registry.resources.others(SECRET, ACCESS) == frozenset()
    assert registry.resources.others("unknown", ACCESS) == frozenset()


def test_releasing_a_reference_keeps_the_others(registry: Registry) -> None:
    registry.resources.refer(KEY_ARN, ACCESS)
    registry.resources.refer(KEY_ARN, OTHER_ACCESS)
    for _ in range(2):
        registry.resources.release(KEY_ARN, ACCESS)
    assert registry.resources.others(KEY_ARN, "a third") == {OTHER_ACCESS}
    registry.resources.release(KEY_ARN, OTHER_ACCESS)
    assert registry.resources.others(KEY_ARN, "a third") == frozenset()


def test_only_requests_without_an_outcome_are_read(registry: Registry) -> None:
    """Requests are kept permanently, and everyone who can send events can cause any number of rejections."""
    registry.requests.claim(REQUEST, EXECUTION_ARN)
    registry.requests.record_outcome(REQUEST, "one", "Request Rejected", "{}")
    registry.requests.claim(RequestRef("request-2", HASH), OTHER_EXECUTION)
    brought: list[dict[str, Any]] = []

    def note(parsed: dict[str, Any], **_: object) -> None:
        brought.extend(parsed["Items"])

    events = dynamodb.client().meta.events
    events.register("after-call.dynamodb.Query", note)
    unanswered = [*registry.requests.unanswered(datetime.now(UTC) + timedelta(seconds=1))]
    events.unregister("after-call.dynamodb.Query", note)

    assert unanswered == [Unanswered(OTHER_EXECUTION, "request-2")]
    assert [item["id"]["S"] for item in brought] == ["request-2"]


def test_requests_using_a_resource_are_recorded_or_running(registry: Registry) -> None:
    registry.resources.refer(KEY_ARN, ACCESS)
    registry.resources.refer(KEY_ARN, OTHER_ACCESS)
    registry.locks.lock(OTHER_ACCESS, OTHER_EXECUTION)
    assert registry.requests_using(KEY_ARN, without=ACCESS) == []
    registry.locks.announce_request(OTHER_ACCESS, OTHER_WANTED, OTHER_EXECUTION)
    assert registry.requests_using(KEY_ARN, without=ACCESS) == [AnnouncedRequest(parse_onboarding(OTHER_WANTED), None)]
    registry.accesses.save(replace(RECORD, access_id=OTHER_ACCESS), WANTED)
    assert registry.requests_using(KEY_ARN, without=ACCESS) == [
        AnnouncedRequest(parse_onboarding(WANTED), KEY_ARN),
        AnnouncedRequest(parse_onboarding(OTHER_WANTED), None),
    ]
    registry.locks.unlock(OTHER_ACCESS, OTHER_EXECUTION)
    assert registry.requests_using(KEY_ARN, without=ACCESS) == [AnnouncedRequest(parse_onboarding(WANTED), KEY_ARN)]
    assert registry.requests_using(KEY_ARN, without=OTHER_ACCESS) == []
    registry.resources.release(KEY_ARN, OTHER_ACCESS)
    assert registry.requests_using(KEY_ARN, without=ACCESS) == []


def test_a_request_is_announced_only_while_it_holds_the_lock(registry: Registry) -> None:
    registry.locks.lock(ACCESS, EXECUTION_ARN)
    with pytest.raises(NotYetEffective, match="another request is running"):
        registry.locks.announce_request(ACCESS, OTHER_WANTED, OTHER_EXECUTION)
    assert "pending" not in item("access", ACCESS)


def test_a_request_whose_lock_was_taken_over_no_longer_uses_a_resource(registry: Registry) -> None:
    registry.locks.lock(ACCESS, EXECUTION_ARN)
    registry.locks.announce_request(ACCESS, WANTED, EXECUTION_ARN)
    registry.locks.lock(ACCESS, OTHER_EXECUTION, _is_over)
    assert "pending" not in item("access", ACCESS)


def test_a_request_uses_only_its_own_key(registry: Registry) -> None:
    registry.accesses.save(RECORD, WANTED)
    registry.resources.refer(KEY_ARN, ACCESS)
    assert registry.requests_using(f"{KEY_ARN}0", without=OTHER_ACCESS) == []


def test_a_resource_without_other_references_is_removed(registry: Registry) -> None:
    registry.resources.refer(SECRET, ACCESS)
    registry.resources.await_removal(SECRET)
    assert registry.resources.begin_removal(SECRET, ACCESS)
    # An attempt that crashed is repeated.
    assert registry.resources.begin_removal(SECRET, ACCESS)
    with pytest.raises(NotYetEffective, match=f"{SECRET} is being removed"):
        registry.resources.refer(SECRET, OTHER_ACCESS)
    with pytest.raises(NotYetEffective, match=f"{SECRET} is being removed"):
        registry.resources.await_removal(SECRET)
    assert registry.resources.others(SECRET, ACCESS) == frozenset()
    for _ in range(2):
        registry.resources.forget(SECRET)
    registry.resources.await_removal(SECRET)
    registry.resources.refer(SECRET, OTHER_ACCESS)


@pytest.mark.parametrize("referring", [[ACCESS, OTHER_ACCESS], [OTHER_ACCESS]], ids=["too", "instead"])
def test_a_resource_with_other_references_is_not_removed(registry: Registry, referring: list[str]) -> None:
    for access_id in referring:
        registry.resources.refer(SECRET, access_id)
    before = item("resource", SECRET)
    assert not registry.resources.begin_removal(SECRET, ACCESS)
    assert item("resource", SECRET) == before
    registry.resources.await_removal(SECRET)


def test_a_resource_without_references_can_be_removed(registry: Registry) -> None:
    assert registry.resources.begin_removal(SECRET, ACCESS)
    assert registry.resources.begin_removal(SECRET, ACCESS)
    with pytest.raises(NotYetEffective):
        registry.resources.refer(SECRET, OTHER_ACCESS)


def test_a_resource_that_others_released_can_be_removed(registry: Registry) -> None:
    registry.resources.refer(SECRET, ACCESS)
    registry.resources.refer(SECRET, OTHER_ACCESS)
    registry.resources.release(SECRET, OTHER_ACCESS)
    assert registry.resources.begin_removal(SECRET, ACCESS)


def test_only_a_removal_that_began_is_finished(registry: Registry) -> None:
    registry.resources.forget_removed(SECRET)
    registry.resources.refer(SECRET, ACCESS)
    registry.resources.forget_removed(SECRET)
    assert item("resource", SECRET)["accesses"] == {ACCESS}
    registry.resources.begin_removal(SECRET, ACCESS)
    registry.resources.forget_removed(SECRET)
    assert item("resource", SECRET) == {}


def test_a_key_being_created_is_noted_before_and_after_the_response(registry: Registry) -> None:
    assert registry.resources.noted_key(ALIAS) is None
    registry.resources.begin_key(ALIAS, "request-1")
    begun = registry.resources.noted_key(ALIAS)
    assert begun is not None
    assert begun.arn is None
    assert timedelta(0) <= datetime.now(UTC) - begun.started < timedelta(minutes=1)
    registry.resources.note_key(ALIAS, KEY_ARN)
    assert registry.resources.noted_key(ALIAS) == replace(begun, arn=KEY_ARN)
    assert registry.resources.noted_key("alias/other") is None


def test_a_second_key_is_not_confused_with_the_first(registry: Registry) -> None:
    registry.resources.begin_key(ALIAS, "request-1")
    registry.resources.note_key(ALIAS, KEY_ARN)
    registry.resources.begin_key(ALIAS, "request-1")
    again = registry.resources.noted_key(ALIAS)
    assert again is not None
    assert again.arn is None
    registry.resources.forget(ALIAS)
    assert registry.resources.noted_key(ALIAS) is None


def test_a_secret_is_known_to_be_unused_only_if_its_creation_was_recorded(registry: Registry) -> None:
    resources = registry.resources
    resources.refer("secret one", "first")
    assert not resources.was_never_configured("secret one")

    resources.begin_secret("secret one", "first")
    resources.note_copy("secret one", "arn:source")
    assert resources.was_never_configured("secret one")
    assert resources.copied_from("secret one") == {"arn:source"}

    resources.note_configured("secret one", "arn:location")
    assert not resources.was_never_configured("secret one")

    # Another access can create and use the secret at any time.
    resources.begin_secret("secret one", "second")
    assert not resources.was_never_configured("secret one")
    # The secret was deleted since.
    resources.begin_secret("secret one", "first")
    assert (resources.was_never_configured("secret one"), resources.copied_from("secret one")) == (True, frozenset())


def staged(registry: Registry, access_id: str, secret_arn: str, value: dict[str, Any], reached: str = "handed-off") -> None:
    """Records an access that uses a secret."""
    record = replace(RECORD, access_id=access_id, secret_arn=secret_arn, reached=reached, version=0)
    registry.resources.refer(f"secret {name_of_secret(secret_arn)}", access_id)
    registry.accesses.save(record, detail({"secret.value": value}))


def test_a_generated_token_is_new_until_an_access_with_it_is_in_service(registry: Registry) -> None:
    staged(registry, ACCESS, SECRET_ARN, {"generate": {}})
    assert registry.is_new_token(SECRET_ARN)
    # Another secret of the same name.
    assert not registry.is_new_token(f"{SECRET_ARN[:-6]}Zz9Zz9")

    staged(registry, OTHER_ACCESS, SECRET_ARN, {"existing": {"secretArn": SECRET_ARN}})
    assert registry.is_new_token(SECRET_ARN)

    record = registry.accesses.get(OTHER_ACCESS)
    assert record
    registry.accesses.save(replace(record, reached="active"), OTHER_WANTED)
    assert not registry.is_new_token(SECRET_ARN)


def test_a_token_of_an_unconfirmed_hand_off_is_new(registry: Registry) -> None:
    staged(registry, ACCESS, EXISTING_ARN, {"existing": {"secretArn": EXISTING_ARN}}, "active")
    registry.resources.refer(SECRET, ACCESS)
    registry.accesses.save_handoff(replace(RECORD, status="handed-off", reached="handed-off"), WANTED)

    assert registry.is_new_token(SECRET_ARN)
    assert not registry.is_new_token(EXISTING_ARN)


def test_a_token_of_a_running_request_is_new_until_a_resource_is_configured_with_it(registry: Registry) -> None:
    registry.resources.begin_secret(SECRET, ACCESS)
    registry.resources.refer(SECRET, ACCESS)
    assert registry.is_new_token(SECRET_ARN)

    registry.resources.note_configured(SECRET, "arn:location")
    assert not registry.is_new_token(SECRET_ARN)


def test_a_copy_of_a_new_token_is_new(registry: Registry) -> None:
    copy = SECRET_ARN.replace("sports", "news")
    resource = f"secret {name_of_secret(copy)}"
    registry.resources.begin_secret(resource, OTHER_ACCESS)
    registry.resources.note_copy(resource, EXISTING_ARN)
    registry.resources.note_copy(resource, SECRET_ARN.replace(REGION, "us-west-2"))
    staged(registry, OTHER_ACCESS, copy, {"copyFrom": {"secretArn": SECRET_ARN}})
    staged(registry, ACCESS, SECRET_ARN, {"generate": {}})
    assert not registry.is_new_token(copy)

    registry.resources.note_copy(resource, SECRET_ARN)
    assert registry.is_new_token(copy)


def test_values_that_were_copied_in_a_circle_are_not_new(registry: Registry) -> None:
    copy = SECRET_ARN.replace("sports", "news")
    registry.resources.note_copy(f"secret {name_of_secret(copy)}", SECRET_ARN)
    registry.resources.note_copy(SECRET, copy)

    assert not registry.is_new_token(SECRET_ARN)


def test_a_key_is_recorded_while_an_access_refers_to_it_or_its_alias_was_created_with_it(registry: Registry) -> None:
    resources = registry.resources
    assert not resources.is_recorded_key("arn:one", "alias/one")

    resources.begin_key("alias/one", "request-1")
    resources.note_key("alias/one", "arn:one")
    assert resources.is_recorded_key("arn:one", "alias/one")
    assert not resources.is_recorded_key("arn:one", None)
    assert not resources.is_recorded_key("arn:two", "alias/one")

    resources.refer("arn:two", "first")
    assert resources.is_recorded_key("arn:two", None)


BUSY: dict[str, tuple[str, Callable[[Registry], object]]] = {
    "begin removal": ("update_item", lambda registry: registry.resources.begin_removal(SECRET, ACCESS)),
    "refer": ("update_item", lambda registry: registry.resources.refer(SECRET, ACCESS)),
    "lock": ("update_item", lambda registry: registry.locks.lock(ACCESS, EXECUTION_ARN)),
    "unlock": ("update_item", lambda registry: registry.locks.unlock(ACCESS, EXECUTION_ARN)),
    "forget removed": ("delete_item", lambda registry: registry.resources.forget_removed(SECRET)),
}


@pytest.mark.parametrize("call", BUSY)
def test_a_throttled_call_is_not_a_failed_condition(call: str) -> None:
    operation, act = BUSY[call]
    client = boto3.client("dynamodb")
    with Stubber(client) as stubber:
        stubber.add_client_error(operation, "ThrottlingException")
        with pytest.raises(TransientAwsError, match="ThrottlingException"):
            act(Registry(Table(client, "accesses")))


def test_a_registry_error_is_never_not_yet_effective() -> None:
    client = boto3.client("dynamodb")
    with Stubber(client) as stubber:
        stubber.add_client_error("get_item", "AccessDeniedException")
        with pytest.raises(AccessDenied), settling(datetime.now(UTC)):
            Registry(Table(client, "accesses")).accesses.get(ACCESS)


def test_a_failed_request_restores_the_former_record(registry: Registry) -> None:
    nothing = registry.accesses.snapshot(ACCESS)
    registry.accesses.save(RECORD, WANTED)
    for restored in (True, False):
        assert registry.accesses.restore(ACCESS, RECORD.request_id, nothing) is restored
        assert registry.accesses.get(ACCESS) is None
        assert registry.accesses.recorded_request(ACCESS) is None
    first = registry.accesses.save(RECORD, WANTED)
    before = registry.accesses.snapshot(ACCESS)
    registry.accesses.save(replace(first, request_id="request-2", key_arn=f"{KEY_ARN}-2"), OTHER_WANTED)
    for restored in (True, False):
        assert registry.accesses.restore(ACCESS, "request-2", before) is restored
        assert registry.accesses.get(ACCESS) == replace(first, version=3)
        assert registry.accesses.recorded_request(ACCESS) == parse_onboarding(WANTED)


def test_a_later_record_is_not_restored(registry: Registry) -> None:
    saved = registry.accesses.save(RECORD, WANTED)
    assert not registry.accesses.restore(ACCESS, "request-2", {})
    assert registry.accesses.get(ACCESS) == saved


def test_a_newer_key_of_the_alias_is_not_forgotten(registry: Registry) -> None:
    registry.resources.begin_key(ALIAS, "request-1")
    registry.resources.forget_key(ALIAS, KEY_ARN)
    registry.resources.note_key(ALIAS, f"{KEY_ARN}-2")
    registry.resources.forget_key(ALIAS, KEY_ARN)
    noted = registry.resources.noted_key(ALIAS)
    assert noted
    assert noted.arn == f"{KEY_ARN}-2"
    registry.resources.forget_key(ALIAS, f"{KEY_ARN}-2")
    assert registry.resources.noted_key(ALIAS) is None


def test_the_lock_for_a_rollback_is_taken_over_by_the_next_attempt(registry: Registry) -> None:
    registry.locks.lock(ACCESS, EXECUTION_ARN)
    registry.locks.lock_for_rollback(ACCESS, EXECUTION_ARN, "arn:end-request")

    for other in (OTHER_EXECUTION, "arn:end-request-of-another"):
        with pytest.raises(NotYetEffective):
            registry.locks.lock_for_rollback(ACCESS, OTHER_EXECUTION, other)
    registry.locks.lock_for_rollback(ACCESS, EXECUTION_ARN, "arn:end-request-again")

    assert registry.locks.holder(ACCESS) == "arn:end-request-again"
    registry.locks.unlock(ACCESS, "arn:end-request-again")
    registry.locks.lock(ACCESS, OTHER_EXECUTION)
