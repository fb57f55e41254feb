"""Offboarding and restoration through the deployed stack, for every system and every choice for the resource."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from local_aws.tools.embedded_aws import until
from tests.sampling import each_value
from tests.workflow.account_state import read_without_requests
from tests.workflow.consumer_resources import CONSENT, CONSUMERS
from tests.workflow.lost_events import date_lock_back, lost_status_events
from tests.workflow.onboarding import MANAGER, Onboarding


def is_open(location: dict[str, Any]) -> bool:
    """Whether a source location sends no token. MediaTailor can return an empty configuration."""
    return not location.get("AccessConfiguration")


def statements(policy: dict[str, Any]) -> set[str]:
    return {statement["Sid"] for statement in policy["Statement"]}


def test_offboarded_location_sends_no_token_and_only_the_secret_is_scheduled(onboarding: Onboarding) -> None:
    made = onboarding.onboard(onboarding.detail())
    arns, name = made["resources"], made["accessId"].rsplit("/", 1)[1]
    onboarding.await_old_grants(arns["keyArn"])

    outcome = onboarding.offboard(made["accessId"])

    assert is_open(onboarding.location(name))
    assert onboarding.grants(arns["keyArn"]) == []
    assert [grant["removedBy"] for grant in outcome["removedGrants"]] == ["latchkey"]
    assert outcome["removedGrants"][0]["evidence"]
    assert onboarding.secretsmanager.describe_secret(SecretId=arns["secretArn"])["DeletedDate"]
    assert onboarding.kms.describe_key(KeyId=arns["keyArn"])["KeyMetadata"]["KeyState"] == "Enabled"
    assert statements(onboarding.key_policy(arns["keyArn"])) == {"EnableIAMUserPermissions", "LatchkeyCreation"}
    assert [one["resource"] for one in outcome["scheduled"]] == [arns["secretArn"]]
    assert {one["resource"] for one in outcome["evidence"]} == {arns["secretArn"]}
    assert outcome["left"] == outcome["steps"] == []


def test_restored_access_is_as_before_and_can_be_offboarded_again(fast_onboarding: Onboarding) -> None:
    onboarding = fast_onboarding
    made = onboarding.onboard(onboarding.detail())
    arns, name = made["resources"], made["accessId"].rsplit("/", 1)[1]
    token, policy = onboarding.token(arns["secretArn"]), onboarding.secret_policy(arns["secretArn"])
    onboarding.offboard(made["accessId"])

    restored = onboarding.restore(made["accessId"])

    same = {"keyArn", "secretArn", "resourceArn"}
    assert {part: restored["resources"][part] for part in same} == {part: arns[part] for part in same}
    assert (onboarding.token(arns["secretArn"]), onboarding.secret_policy(arns["secretArn"])) == (token, policy)
    assert not is_open(onboarding.location(name))
    onboarding.offboard(made["accessId"])
    assert is_open(onboarding.location(name))


# The only one of these systems that is detached.
DETACHED = [("mediapackagev2", "restore")]


@pytest.mark.parametrize(("kind", "choice"), dict.fromkeys([*DETACHED, *each_value(CONSUMERS, ["restore", "detach", "leave"])]))
def test_every_system_is_detached_or_named_with_the_steps_that_a_person_takes(
    fast_onboarding: Onboarding, kind: str, choice: str
) -> None:
    onboarding = fast_onboarding
    consumer = CONSUMERS[kind](onboarding.aws)
    before = consumer.settings()
    made = onboarding.onboard(consumer.detail)
    arns, after = made["resources"], consumer.settings()

    outcome = onboarding.offboard(made["accessId"], resource=choice)

    secret = onboarding.secretsmanager.describe_secret(SecretId=arns["secretArn"])
    if kind == "mediapackagev2" and choice != "leave":
        assert (consumer.settings(), outcome["left"], outcome["steps"]) == (before, [], [])
        assert [one["resource"] for one in outcome["scheduled"]] == [arns["secretArn"]]
        assert secret["DeletedDate"]
    else:
        assert (consumer.settings(), outcome["scheduled"]) == (after, [])
        assert outcome["left"]
        assert "DeletedDate" not in secret


def names_of(event: dict[str, Any]) -> tuple[str, str]:
    return event["detail-type"], event["detail"]["accessId"]


def left_of(outcome: dict[str, Any]) -> list[str]:
    """What stays, without grants that are too young for the evidence of a cleanup. The sweep checks them again."""
    return [text for text in outcome["left"] if not text.startswith("grants named")]


# The settings of a location before and after, by the choice: the base URL, whether it sends a token, or None if it is gone.
LOCATIONS: dict[tuple[str, str], str] = {
    ("created", "restore"): "without a token",
    ("created", "detach"): "without a token",
    ("created", "delete"): "gone",
    ("created", "leave"): "unchanged",
    ("owned", "restore"): "as before",
    ("owned", "detach"): "without a token",
    ("owned", "leave"): "unchanged",
}


@pytest.mark.parametrize(("owner", "choice"), LOCATIONS)
def test_a_location_is_restored_detached_deleted_or_left(fast_onboarding: Onboarding, owner: str, choice: str) -> None:
    onboarding, detail = fast_onboarding, fast_onboarding.detail()
    name, url = detail["resource"]["sourceLocation"], f"{detail['resource']['baseUrl']}/former"
    if owner == "owned":
        http = {"BaseUrl": url}
        onboarding.mediatailor.create_source_location(SourceLocationName=name, HttpConfiguration=http, Tags=CONSENT)
    made = onboarding.onboard(detail)
    arns, in_service = made["resources"], onboarding.location(name)

    outcome = onboarding.offboard(made["accessId"], resource=choice, recoveryDays=7)

    expected = LOCATIONS[owner, choice]
    found = onboarding.location(name) if name in onboarding.location_names() else None
    secret = onboarding.secretsmanager.describe_secret(SecretId=arns["secretArn"])
    assert (expected == "gone") is (found is None)
    assert ("DeletedDate" in secret, bool(left_of(outcome))) == (expected != "unchanged", expected == "unchanged")
    if found is not None:
        assert is_open(found) is (expected != "unchanged")
        assert (found["HttpConfiguration"]["BaseUrl"] == url) is (expected == "as before")
        assert expected != "unchanged" or found["AccessConfiguration"] == in_service["AccessConfiguration"]
    if expected == "unchanged":
        assert left_of(onboarding.offboard(made["accessId"], recoveryDays=7)) == []
        assert is_open(onboarding.location(name))


def changes(onboarding: Onboarding) -> dict[str, int]:
    """The calls of functions since the last `DELETE calls` that change a key, a secret, a role or a media service."""
    counts: dict[str, int] = {}
    for call in onboarding.aws.control("GET", "calls"):
        is_read = call["operation"].startswith(("Describe", "Get", "List", "Simulate"))
        if "/latchkey-" in call["principal"] and call["service"] in CHANGED and not is_read:
            counts[call["operation"]] = counts.get(call["operation"], 0) + call["count"]
    return counts


CHANGED = ("kms", "secretsmanager", "iam", "mediatailor", "mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect")


@pytest.mark.parametrize(("omitted", "shares"), each_value(["clear", "keep"], [False, True]))
def test_an_offboarding_makes_no_more_calls_than_it_needs(onboarding: Onboarding, omitted: str, shares: bool) -> None:
    """One update of the location, or two if MediaTailor keeps what an update omits, and one call for everything else."""
    assumed = {"mediatailorRetires": "never", "omittedOnPut": omitted, "trail": {"lose": 1}}
    onboarding.aws.control("PUT", "assumptions", assumed)
    detail = onboarding.detail()
    made = onboarding.onboard(detail)
    arns = made["resources"]
    if shares:
        onboarding.consent(arns["secretArn"])
        secret = {"value": {"existing": {"secretArn": arns["secretArn"]}}}
        other = onboarding.detail(key=detail["key"], secret=secret, managementRoles=None)
        onboarding.onboard(other)
    onboarding.await_old_grants(arns["keyArn"])
    onboarding.aws.control("DELETE", "calls")

    onboarding.offboard(made["accessId"])

    updated = {"UpdateSourceLocation": 1 if omitted == "clear" else 2}
    removed = {"PutResourcePolicy": 1} if shares else {"DeleteSecret": 1}
    assert changes(onboarding) == updated | {"RevokeGrant": 1, "PutKeyPolicy": 1} | removed


def test_a_crashed_offboarding_is_resumed_by_the_sweep(fast_onboarding: Onboarding) -> None:
    """The event about the end of the execution is lost, so only the sweep finds the request."""
    onboarding = fast_onboarding
    made = onboarding.onboard(onboarding.detail())
    access_id, name = made["accessId"], made["accessId"].rsplit("/", 1)[1]
    hold = {"service": "secretsmanager", "operation": "DeleteSecret", "error": "hold"}
    onboarding.aws.control("POST", "faults", hold)
    asked = {"requestId": f"crashed-{name}", "accessId": access_id, "recoveryDays": 7}
    with lost_status_events(onboarding):
        onboarding.put(asked, "Offboarding Requested")
        until(lambda: onboarding.aws.control("GET", "faults"), "the offboarding at DeleteSecret", 60)
        [running] = onboarding.executions("Offboard", statusFilter="RUNNING")
        onboarding.aws.client("stepfunctions").stop_execution(executionArn=running["executionArn"])
        onboarding.aws.control("DELETE", "faults")
        date_lock_back(onboarding, access_id)
        onboarding.put({}, "Reconciliation Requested")
        event = onboarding.outcomes.wait_for(asked["requestId"], 120)

    assert names_of(event) == ("Access Offboarded", access_id)
    assert [one["resource"] for one in event["detail"]["scheduled"]] == [made["resources"]["secretArn"]]
    assert is_open(onboarding.location(name))
    resumed = [one for one in onboarding.executions("Offboard") if one["executionArn"] != running["executionArn"]]
    assert [one["status"] for one in resumed] == ["SUCCEEDED"]
    assert len(onboarding.outcomes.of(asked["requestId"])) == 1
    onboarding.restore(access_id)


def test_the_key_is_deleted_by_the_sweep_after_the_secret_is_gone_and_nothing_is_revoked(
    fast_onboarding: Onboarding,
) -> None:
    onboarding, detail = fast_onboarding, fast_onboarding.detail()
    detail["key"] |= {"allowDeletion": True, "administrators": [MANAGER]}
    made = onboarding.onboard(detail)
    access_id, arns = made["accessId"], made["resources"]
    outcome = onboarding.offboard(access_id, recoveryDays=7)
    assert [one["resource"] for one in outcome["scheduled"]] == [arns["secretArn"], arns["keyArn"]]

    def key_state() -> str:
        return str(onboarding.kms.describe_key(KeyId=arns["keyArn"])["KeyMetadata"]["KeyState"])

    onboarding.sweep()
    assert key_state() == "Enabled"
    onboarding.aws.control("PUT", "assumptions", {"clockSeconds": time.time() + 8 * 86_400})
    onboarding.sweep()

    assert key_state() == "PendingDeletion"
    notices = [event for event in onboarding.outcomes.all() if event["detail"].get("accessId") == access_id]
    [deleted] = [event["detail"] for event in notices if event["detail-type"] == "Key Deletion Scheduled"]
    assert (deleted["keyArn"], deleted["waitingDays"]) == (arns["keyArn"], 7)
    assert [one["resource"] for one in deleted["evidence"]] == [arns["keyArn"]]
    assert {event["detail-type"] for event in notices} <= {
        "Access Onboarded",
        "Access Offboarded",
        "Grants Cleaned Up",
        "Key Deletion Scheduled",
    }
    before = read_without_requests(onboarding.aws)
    late = onboarding.ask("Restoration Requested", access_id)
    assert late["detail-type"] == "Request Rejected"
    [error] = late["detail"]["errors"]
    assert (error["place"], outcome["scheduled"][0]["at"].replace("Z", "+00:00") in error["rule"]) == ("accessId", True)
    assert read_without_requests(onboarding.aws) == before
    onboarding.sweep()
    assert len([event for event in onboarding.outcomes.all() if event["detail-type"] == "Key Deletion Scheduled"]) == 1


class Sharing:
    """Two accesses that share a key, and also the secret of the first if `secret`."""

    def __init__(self, onboarding: Onboarding, *, secret: bool) -> None:
        self.onboarding, self.first = onboarding, onboarding.detail()
        self.made = onboarding.onboard(self.first)
        members: dict[str, Any] = {"key": self.first["key"]}
        if secret:
            onboarding.consent(self.made["resources"]["secretArn"])
            members["secret"] = {"value": {"existing": {"secretArn": self.made["resources"]["secretArn"]}}}
        self.second = onboarding.detail(**members)
        self.other = onboarding.onboard(self.second)

    def passes_all_checks(self, detail: dict[str, Any], **changes: Any) -> None:
        again = detail | {"requestId": f"again-{uuid.uuid4().hex[:8]}"} | changes
        outcome = self.onboarding.onboard(again)
        assert (outcome["status"], outcome["changed"]) == ("unchanged", False)


@pytest.mark.parametrize(("secret", "leaves_first"), each_value([False, True], [False, True]))
def test_offboarding_one_access_leaves_all_checks_of_the_other_passing(
    fast_onboarding: Onboarding, secret: bool, leaves_first: bool
) -> None:
    onboarding, sharing = fast_onboarding, Sharing(fast_onboarding, secret=secret)
    leaving, staying = (sharing.made, sharing.second) if leaves_first else (sharing.other, sharing.first)
    onboarding.offboard(leaving["accessId"], recoveryDays=7)
    sharing.passes_all_checks(staying)
    onboarding.sweep()
    sharing.passes_all_checks(staying)

    onboarding.restore(leaving["accessId"])
    sharing.passes_all_checks(staying)
    assert {event["detail-type"] for event in onboarding.outcomes.all()} <= {
        "Access Onboarded",
        "Access Offboarded",
        "Grants Cleaned Up",
        "Reconciliation Completed",
    }


@pytest.mark.parametrize("secret", [False, True], ids=["shared key", "shared secret"])
def test_moving_one_access_leaves_all_checks_of_the_other_passing(fast_onboarding: Onboarding, secret: bool) -> None:
    onboarding, sharing = fast_onboarding, Sharing(fast_onboarding, secret=secret)
    alias = f"alias/latchkey/moved-{uuid.uuid4().hex[:8]}"
    moved = onboarding.onboard(sharing.first | {"requestId": f"move-{alias[-8:]}", "key": {"alias": alias, "move": True}})

    # All accesses of a secret move together.
    sharing.passes_all_checks(sharing.second, **({"key": {"alias": alias}} if secret else {}))
    sharing.passes_all_checks(sharing.first, key={"alias": alias})
    assert moved["resources"]["keyArn"] != sharing.made["resources"]["keyArn"]
    onboarding.offboard(moved["accessId"], recoveryDays=7)
    sharing.passes_all_checks(sharing.second, **({"key": {"alias": alias}} if secret else {}))


def test_an_access_is_restored_under_the_key_to_which_the_other_moved_their_secret(fast_onboarding: Onboarding) -> None:
    onboarding, sharing = fast_onboarding, Sharing(fast_onboarding, secret=True)
    onboarding.offboard(sharing.made["accessId"], recoveryDays=7)
    alias = f"alias/latchkey/moved-{uuid.uuid4().hex[:8]}"
    moved = onboarding.onboard(sharing.second | {"requestId": f"move-{alias[-8:]}", "key": {"alias": alias, "move": True}})

    restored = onboarding.restore(sharing.made["accessId"])

    assert restored["resources"]["keyArn"] == moved["resources"]["keyArn"]
    sharing.passes_all_checks(sharing.second, key={"alias": alias})
    onboarding.offboard(sharing.made["accessId"], recoveryDays=7)
    sharing.passes_all_checks(sharing.second, key={"alias": alias})
