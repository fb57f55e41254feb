"""undo_onboarding: the roles, resources and keys of the systems other than MediaTailor."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.errors import TransientAwsError
from tests.functions.account import ADOPT, OURS, Account
from tests.functions.fault_injection import at_call, lose_connection
from tests.functions.media_services import FLOW
from tests.functions.onboarding_requests import PARTNER, Run, existing, role_name_of
from tests.functions.onboarding_steps import Onboarding, account_snapshot, policy, references

BY_ROLE = ["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"]
ADOBE = "adobe-experience-platform"
STEPS = ["create_key", "create_secret", "attach_policies", "configure_access"]
ENCRYPTED = {"KeyType": "static-key", "Algorithm": "aes128", "RoleArn": "arn:former:role", "SecretArn": "arn:former:secret"}
REPLACING = {"value": {"generate": {}}, "replacesToken": True}


@pytest.fixture(autouse=True)
def there(account: Account, stack: Callable[..., None]) -> None:
    """Creates every resource; one of them is already encrypted by its owner."""
    stack(ALLOWED_PARTNER_ACCOUNTS=PARTNER, ALLOWED_ORIGIN_HOSTS="*")
    account.add_resources()
    account.mediaconnect.flows[FLOW]["Outputs"][0]["Encryption"] = ENCRYPTED
    account.mediapackage.resources["live-hls"] |= {
        "HlsPackage": {"PlaylistWindowSeconds": 60},
        "Tags": ADOPT | {"owner": "other-team"},
    }
    account.mediapackagev2.add("sports/one/hls", Policy=policy())


def request(system: str, **members: Any) -> dict[str, Any]:
    return {"system": system, "secret": REPLACING, **members}


@pytest.mark.parametrize("until", STEPS)
@pytest.mark.parametrize("system", BY_ROLE)
def test_everything_is_removed_and_the_resource_is_restored(run: Run, account: Account, system: str, until: str) -> None:
    before = account.resources()
    failed = Onboarding(run, account, **request(system)).run_through(until)

    undone = failed.undo()

    after = account_snapshot(account)
    assert after["keys"] == {failed.key: "PendingDeletion"}
    assert (after["aliases"], after["secrets"], after["roles"]) == ([], {}, {})
    assert after["resources"] == before
    at = STEPS.index(until)
    assert len(undone) == 1 + (at >= 1) + (at >= 2) + (at >= 3)
    assert any(f"role/{role_name_of(system)}" in step for step in undone) is (at >= 2)
    assert references(account) == {}


def test_an_endpoint_without_a_policy_has_none_after_a_rollback(run: Run, account: Account) -> None:
    account.mediapackagev2.policies.clear()

    Onboarding(run, account, **request("mediapackagev2")).run_through().undo()

    assert account.mediapackagev2.policies == {}


V2 = "sports/one/hls"
PLAYERS = {"Sid": "Players", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::1:root"}, "Action": "*", "Resource": "*"}


@pytest.mark.parametrize("former", [[], [PLAYERS | {"Sid": "Former"}], None], ids=["empty", "foreign", "none"])
def test_a_later_statement_is_kept_and_the_gate_is_removed(
    run: Run, account: Account, former: list[dict[str, Any]] | None
) -> None:
    account.mediapackagev2.policies.clear()
    if former is not None:
        account.mediapackagev2.add(V2, Policy=policy(*former))
    failed = Onboarding(run, account, **request("mediapackagev2")).run_through()
    held = account.mediapackagev2.policies[V2]
    held["Policy"] = policy(*json.loads(held["Policy"])["Statement"], PLAYERS)

    failed.undo()

    left = account.mediapackagev2.policies[V2]
    assert json.loads(left["Policy"])["Statement"] == [*(former or []), PLAYERS]
    assert "CdnAuthConfiguration" not in left


def test_a_later_change_to_a_resource_is_kept(run: Run, account: Account) -> None:
    failed = Onboarding(run, account, **request("mediapackage")).run_through()
    account.mediapackage.resources["live-hls"] |= {"HlsPackage": {"PlaylistWindowSeconds": 90}, "Description": "later"}

    failed.undo()

    left = account.mediapackage.resources["live-hls"]
    assert (left["HlsPackage"], left["Description"]) == ({"PlaylistWindowSeconds": 90}, "later")
    assert "Authorization" not in left


def test_encryption_that_cannot_be_removed_stays_until_its_owner_acts(run: Run, account: Account) -> None:
    del account.mediaconnect.flows[FLOW]["Outputs"][0]["Encryption"]
    failed = Onboarding(run, account, **request("mediaconnect")).run_through()
    before = account_snapshot(account)

    failed.undo()
    assert len(failed.left) == 1
    after = account_snapshot(account)
    assert {part for part in before if after[part] != before[part]} <= {"table"}

    account.mediaconnect.flows[FLOW]["Outputs"].clear()
    failed.undo()
    assert failed.left == []
    assert (account_snapshot(account)["roles"], account_snapshot(account)["secrets"]) == ({}, {})


def test_the_rollback_of_an_entitled_source_waits_until_its_flow_is_stopped(run: Run, account: Account) -> None:
    theirs = "arn:aws:mediaconnect:us-east-1:444455556666:entitlement:1-a:b"
    account.mediaconnect.add("source", "studio", EntitlementArn=theirs, Decryption=ENCRYPTED)
    before = account.resources()
    resource = {"output": None, "source": "studio"}
    failed = Onboarding(run, account, **request("mediaconnect", resource=resource)).run_through()
    account.mediaconnect.flows[FLOW]["Status"] = "ACTIVE"

    failed.undo()
    assert len(failed.left) == 1

    account.mediaconnect.flows[FLOW]["Status"] = "STANDBY"
    failed.undo()
    assert failed.left == []
    assert account.resources() == before


@pytest.mark.parametrize("system", BY_ROLE)
def test_an_active_access_is_restored_after_a_failed_request(run: Run, account: Account, system: str) -> None:
    first = Onboarding(run, account, **request(system)).run_through("record_access")
    value = account.value(first.secret)
    other = account.secret("latchkey/theirs/token", value, ADOPT, key=first.key)
    before = account_snapshot(account)

    failed = Onboarding(
        run, account, requestId="request-2", system=system, secret=existing(other, replacesToken=True)
    ).run_through()
    assert other in json.dumps(account.role_state(role_name_of(system)))
    undone = failed.undo()

    after = account_snapshot(account)
    for part in ("keys", "policies", "aliases", "secrets", "resources", "roles"):
        assert after[part] == before[part], part
    assert any(f"role/{role_name_of(system)}" in step for step in undone)


def test_a_role_of_another_access_is_kept(run: Run, account: Account) -> None:
    failed = Onboarding(run, account, **request("mediapackage")).run_through("create_secret")
    account.role(role_name_of("mediapackage"), tags=OURS | {"latchkey:access": "mediapackage/originEndpoint/another"})

    failed.undo()

    assert list(account_snapshot(account)["roles"]) == [role_name_of("mediapackage")]


@pytest.mark.parametrize(
    ("operation", "when"),
    [
        ("DeleteRolePolicy", "before-call"),
        ("DeleteRolePolicy", "after-call"),
        ("DeleteRole", "before-call"),
        ("DeleteRole", "after-call"),
    ],
)
def test_a_retry_completes_a_rollback_that_was_interrupted_at_the_role(
    run: Run, account: Account, operation: str, when: str
) -> None:
    failed = Onboarding(run, account, **request("mediapackage")).run_through()
    at_call("iam", operation, lose_connection, when=when)
    with pytest.raises(TransientAwsError):
        run("undo_onboarding", failed.undo_event)

    undone = failed.undo()

    after = account_snapshot(account)
    assert (after["keys"], after["secrets"], after["roles"]) == ({failed.key: "PendingDeletion"}, {}, {})
    assert any(f"role/{role_name_of('mediapackage')}" in step for step in undone)


def test_a_late_rollback_keeps_later_settings(run: Run, account: Account) -> None:
    failed = Onboarding(run, account, **request("mediapackage")).run_through()
    theirs = {"CdnIdentifierSecret": "arn:theirs", "SecretsRoleArn": "arn:role"}
    account.mediapackage.resources["live-hls"]["Authorization"] = theirs

    failed.undo()

    assert account.mediapackage.resources["live-hls"]["Authorization"] == theirs


def test_a_handoff_is_rolled_back_without_reading_its_resource(run: Run, account: Account) -> None:
    before = copy.deepcopy(account.mediapackage.resources)
    failed = Onboarding(run, account, **request("mediapackage", resource={"configure": False})).run_through("configure_access")

    failed.undo()

    assert (account_snapshot(account)["roles"], account_snapshot(account)["secrets"]) == ({}, {})
    assert account.mediapackage.resources == before


@pytest.mark.parametrize("until", ["create_key", "attach_policies"])
def test_a_partner_key_that_was_never_handed_off_is_deleted(run: Run, account: Account, until: str) -> None:
    failed = Onboarding(run, account, system=ADOBE).run_through(until)

    [step] = failed.undo()
    assert failed.key in step
    assert account_snapshot(account)["keys"] == {failed.key: "PendingDeletion"}
    assert references(account) == {}


def test_a_partner_key_and_its_partner_statements_are_kept(run: Run, account: Account) -> None:
    user = account.role("Users", "/media/")
    first = Onboarding(run, account, system=ADOBE).run_through("record_access")
    before = account_snapshot(account)

    failed = Onboarding(run, account, requestId="request-2", system=ADOBE, key={"users": [user]}).run_through("attach_policies")
    assert account_snapshot(account)["policies"] != before["policies"]
    failed.undo()

    after = account_snapshot(account)
    for part in ("keys", "policies", "aliases", "roles"):
        assert after[part] == before[part], part
    assert references(account)[first.key] == [first.checked["accessId"]]


def test_a_rollback_does_not_disable_or_delete_a_partner_key(run: Run, account: Account) -> None:
    Onboarding(run, account, system=ADOBE).run_through("record_access")
    called: list[str] = []
    clients.kms().meta.events.register("before-call.kms", lambda model, **_: called.append(model.name))

    Onboarding(run, account, requestId="request-2", system=ADOBE).run_through("attach_policies").undo()

    assert not set(called) & {"ScheduleKeyDeletion", "DisableKey", "RevokeGrant", "RetireGrant", "DeleteAlias"}


def test_a_recorded_partner_key_is_kept_by_every_attempt(run: Run, account: Account) -> None:
    recorded = Onboarding(run, account, system=ADOBE).run_through("attach_policies")
    resources = {"keyArn": recorded.key}
    run("record_access", {"request": recorded.request, "resources": resources, "status": "handed-off"})
    before = account_snapshot(account)

    recorded.undo()

    assert recorded.left
    after = account_snapshot(account)
    for part in ("keys", "policies", "aliases"):
        assert after[part] == before[part], part
    assert references(account)[recorded.key] == [recorded.checked["accessId"]]
