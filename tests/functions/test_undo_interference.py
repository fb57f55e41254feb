"""undo_onboarding after somebody else, or a later request for the same access, has used or changed what the request set."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import LatchkeyError
from latchkey.registry import registry
from tests.functions.account import ACCOUNT, REGION, Account
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import HEADER, NAME, SECRET_KEY, Run, role_name_of
from tests.functions.onboarding_steps import Onboarding, account_snapshot, key_statements, references, secret_statements

SWEEP = {"holder": f"arn:aws:states:{REGION}:{ACCOUNT}:execution:end-request:one", "reported": True}
SECOND = "latchkey/mediatailor/second"
# A hand-off of an access in service: it is pending until its confirmation.
HANDOFF: dict[str, Any] = {"resource": {"configure": False}, "secret": {"name": SECOND, "replacesToken": True}}


@pytest.fixture(autouse=True)
def any_host(stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*", TRUSTED_PRINCIPAL_PATTERNS="arn:aws:iam::*:role/*")


def fail_to_undo(run: Run, failed: Onboarding, service: str, operation: str) -> None:
    """Lets one call of the rollback be denied, so that the journal of the request stays open."""
    at_call(service, operation, answer_with_error(operation))
    with pytest.raises(LatchkeyError):
        run("undo_onboarding", failed.undo_event)
    failed.end()


def undo_by_sweep(run: Run, failed: Onboarding) -> dict[str, Any]:
    """Rolls a request back as end-request does for the sweep."""
    return run("undo_onboarding", failed.undo_event | SWEEP)


def test_a_secret_that_a_pending_handoff_names_is_kept(run: Run, account: Account) -> None:
    origin = account.role("Origin")
    Onboarding(run, account).run_through("record_access")
    members = HANDOFF | {"secret": HANDOFF["secret"] | {"originReaders": [origin]}}
    failed = Onboarding(run, account, requestId="failed", **members).run_through("attach_policies")
    fail_to_undo(run, failed, "secretsmanager", "DescribeSecret")
    pending = Onboarding(run, account, requestId="pending", **members).run_through("record_access")
    assert pending.secret == failed.secret
    before = account_snapshot(account)

    answer = undo_by_sweep(run, failed)

    after = account_snapshot(account)
    for part in ("keys", "policies", "aliases", "secrets", "locations"):
        assert after[part] == before[part], part
    assert origin in json.dumps(secret_statements(account, pending.secret))
    assert origin in json.dumps(key_statements(account, pending.key))
    assert (answer["left"], account.items("journal")) == ([], [])
    assert references(account)[f"secret {SECOND}"] == [pending.checked["accessId"]]


def test_the_reference_of_a_pending_handoff_is_kept(run: Run, account: Account) -> None:
    Onboarding(run, account).run_through("record_access")
    pending = Onboarding(run, account, requestId="pending", **HANDOFF).run_through("record_access")
    failed = Onboarding(run, account, requestId="failed", **HANDOFF).run_through("attach_policies")

    failed.undo()
    failed.end()

    assert references(account)[f"secret {SECOND}"] == [pending.checked["accessId"]]
    Onboarding(run, account, requestId="next", **HANDOFF).run_through("record_access")


def test_a_handoff_that_its_own_request_withdraws_protects_nothing(run: Run, account: Account) -> None:
    first = Onboarding(run, account).run_through("record_access")
    failed = Onboarding(run, account, requestId="failed", **HANDOFF).run_through("attach_policies")
    resources = {"keyArn": failed.key, "secretArn": failed.secret, "resourceArn": None}
    run("record_access", {"request": failed.request, "resources": resources, "status": "handed-off"})
    pending = registry().accesses.to_confirm(first.checked["accessId"])
    assert pending
    assert pending.is_pending

    failed.undo()

    assert list(account_snapshot(account)["secrets"]) == [first.secret]
    assert f"secret {SECOND}" not in references(account)


EVIL = {"HttpConfiguration": {"BaseUrl": "https://evil.example.com/b"}}


@pytest.mark.parametrize("when", ["before the rollback", "during the rollback"])
def test_the_former_token_is_not_sent_to_a_url_that_somebody_set_since(run: Run, account: Account, when: str) -> None:
    first = Onboarding(run, account).run_through("record_access")
    before = account_snapshot(account)["locations"]
    members: dict[str, Any] = {"resource": {"baseUrl": "https://evil.example.com/a"}, "secret": HANDOFF["secret"]}
    failed = Onboarding(run, account, requestId="failed", **members).run_through("configure_access")
    location = account.mediatailor.locations[NAME]
    left = location["HttpConfiguration"]
    if when == "during the rollback":
        at_call("mediatailor", "DescribeSourceLocation", lambda: location.update(EVIL), number=2)
    else:
        location |= EVIL
    changed = location | EVIL

    failed.undo()

    assert account.mediatailor.locations[NAME] == changed
    assert failed.secret in account_snapshot(account)["secrets"]
    assert len(failed.left) == 1

    account.mediatailor.locations[NAME]["HttpConfiguration"] = left
    failed.undo()
    assert failed.left == []
    assert account_snapshot(account)["locations"] == before
    assert list(account_snapshot(account)["secrets"]) == [first.secret]


def test_the_token_of_a_request_is_not_sent_to_the_former_url(run: Run, account: Account) -> None:
    Onboarding(run, account).run_through("record_access")
    members: dict[str, Any] = {"resource": {"baseUrl": "https://other.example.com/a"}, "secret": HANDOFF["secret"]}
    failed = Onboarding(run, account, requestId="failed", **members).run_through("configure_access")
    account.mediatailor.locations[NAME]["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]["HeaderName"] = "X-B"
    changed = json.loads(json.dumps(account.mediatailor.locations[NAME]))

    failed.undo()

    assert account.mediatailor.locations[NAME] == changed
    assert len(failed.left) == 1


def test_the_former_token_is_restored_if_somebody_restored_the_url(run: Run, account: Account) -> None:
    Onboarding(run, account).run_through("record_access")
    before = account_snapshot(account)["locations"]
    members: dict[str, Any] = {"resource": {"baseUrl": "https://other.example.com/a"}, "secret": HANDOFF["secret"]}
    failed = Onboarding(run, account, requestId="failed", **members).run_through("configure_access")
    account.mediatailor.locations[NAME]["HttpConfiguration"] = before[NAME]["HttpConfiguration"]

    failed.undo()

    assert account_snapshot(account)["locations"] == before
    assert failed.left == []


def test_a_changed_location_with_the_recorded_secret_is_reported_once_and_the_rollback_goes_on(
    run: Run, account: Account
) -> None:
    manager = account.role("Manager")
    first = Onboarding(run, account).run_through("record_access")
    failed = Onboarding(
        run, account, requestId="failed", resource={"header": "X-Other"}, managementRoles=[manager]
    ).run_through("configure_access")
    assert manager in json.dumps(key_statements(account, first.key))
    account.mediatailor.locations[NAME] |= EVIL
    changed = json.loads(json.dumps(account.mediatailor.locations[NAME]))

    failed.undo()
    failed.end()

    assert account.mediatailor.locations[NAME] == changed
    assert len(failed.left) == 1
    assert manager not in json.dumps(key_statements(account, first.key))
    assert account.items("journal") == []


ACCESS_ID = f"mediatailor/sourceLocation/{NAME}"
REPLACING: dict[str, Any] = {"secret": {"replacesToken": True}}
PARTS = ("keys", "policies", "aliases", "secrets", "locations", "resources", "roles")


def token_access(secret: str, header: str = HEADER) -> dict[str, Any]:
    token = {"HeaderName": header, "SecretArn": secret, "SecretStringKey": SECRET_KEY}
    return {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}


@pytest.mark.parametrize("exists", [False, True], ids=["created", "configured"])
@pytest.mark.parametrize("later", [{}, {"resource": {"header": "X-Later"}}], ids=["same settings", "other settings"])
def test_a_location_that_a_later_request_uses_stays_as_it_is(
    run: Run, account: Account, exists: bool, later: dict[str, Any]
) -> None:
    if exists:
        former = account.secret("theirs/former", json.dumps({SECRET_KEY: "a" * 20}))
        account.mediatailor.add(NAME, token_access(former), HttpConfiguration={"BaseUrl": "https://former.example.com/"})
    failed = Onboarding(run, account, **REPLACING).run_through("configure_access")
    fail_to_undo(run, failed, "mediatailor", "UpdateSourceLocation" if exists else "DeleteSourceLocation")
    Onboarding(run, account, requestId="later", **REPLACING, **later).run_through("record_access")
    before = account_snapshot(account)

    answer = undo_by_sweep(run, failed)

    after = account_snapshot(account)
    for part in PARTS:
        assert after[part] == before[part], part
    # Only a created location has a reference.
    assert exists or f"arn:aws:mediatailor:{REGION}:{ACCOUNT}:sourceLocation/{NAME}" in references(account)
    assert (answer["left"], account.items("journal")) == ([], [])


@pytest.mark.parametrize("system", ["mediapackage", "mediapackagev2", "mediaconnect"])
def test_a_role_and_a_resource_that_a_later_request_uses_stay_as_they_are(run: Run, account: Account, system: str) -> None:
    account.add_resources()
    failed = Onboarding(run, account, system=system).run_through("attach_policies")
    fail_to_undo(run, failed, "iam", "DeleteRole")
    later = Onboarding(run, account, system=system, requestId="later").run_through("record_access")
    before = account_snapshot(account)

    answer = undo_by_sweep(run, failed)

    after = account_snapshot(account)
    for part in PARTS:
        assert after[part] == before[part], part
    assert role_name_of(system) in after["roles"]
    assert [later.checked["accessId"]] in references(account).values()
    assert (answer["left"], account.items("journal")) == ([], [])


def test_a_location_that_a_pending_handoff_names_stays_as_it_is(run: Run, account: Account) -> None:
    Onboarding(run, account).run_through("record_access")
    failed = Onboarding(run, account, requestId="failed", secret=HANDOFF["secret"]).run_through("configure_access")
    fail_to_undo(run, failed, "mediatailor", "UpdateSourceLocation")
    Onboarding(run, account, requestId="pending", **HANDOFF).run_through("record_access")
    before = account_snapshot(account)

    undo_by_sweep(run, failed)

    after = account_snapshot(account)
    for part in PARTS:
        assert after[part] == before[part], part


def test_what_a_repair_replaced_is_restored(run: Run, account: Account) -> None:
    """The record names what the failed request set. The owner had set something else before that."""
    Onboarding(run, account).run_through("record_access")
    record = registry().accesses.get(ACCESS_ID)
    assert record
    former = account.secret("theirs/former", json.dumps({SECRET_KEY: "a" * 20}))
    account.mediatailor.locations[NAME]["AccessConfiguration"] = token_access(former)
    registry().accesses.record_status(record, "detached", ["the resource uses the secret"])
    failed = Onboarding(run, account, requestId="repair", **REPLACING).run_through("configure_access")

    failed.undo()

    assert account.mediatailor.locations[NAME]["AccessConfiguration"] == token_access(former)


@pytest.mark.parametrize("first", ["earlier", "later"])
@pytest.mark.parametrize("secret", [{}, {"name": SECOND}], ids=["same secret", "other secret"])
def test_two_failed_requests_leave_nothing_in_any_order_of_their_rollbacks(
    run: Run, account: Account, first: str, secret: dict[str, Any]
) -> None:
    former = account.secret("theirs/former", json.dumps({SECRET_KEY: "a" * 20}))
    account.mediatailor.add(NAME, token_access(former))
    before = account_snapshot(account)["locations"]
    earlier = Onboarding(run, account, **REPLACING).run_through("configure_access")
    fail_to_undo(run, earlier, "mediatailor", "UpdateSourceLocation")
    members: dict[str, Any] = {"resource": {"header": "X-Later"}, "secret": secret | {"replacesToken": True}}
    later = Onboarding(run, account, requestId="later", **members).run_through("configure_access")
    fail_to_undo(run, later, "mediatailor", "UpdateSourceLocation")

    for failed in [earlier, later] if first == "earlier" else [later, earlier]:
        undo_by_sweep(run, failed)
    undo_by_sweep(run, earlier)
    undo_by_sweep(run, later)
    undo_by_sweep(run, earlier)

    after = account_snapshot(account)
    assert after["locations"] == before
    assert list(after["secrets"]) == [former]
    assert account.items("journal") == []
    assert set(after["keys"].values()) <= {"PendingDeletion"}
    assert references(account) == {}


def test_a_role_that_another_failed_request_uses_is_kept_until_that_request_is_rolled_back(run: Run, account: Account) -> None:
    account.add_resources()
    earlier = Onboarding(run, account, system="mediaconnect").run_through("attach_policies")
    fail_to_undo(run, earlier, "iam", "DeleteRole")
    later = Onboarding(run, account, system="mediaconnect", requestId="later").run_through("configure_access")
    # MediaConnect cannot remove the encryption, so the output still reads the secret through the role.
    later.undo()
    later.end()
    assert later.left
    before = account_snapshot(account)

    answer = undo_by_sweep(run, earlier)

    after = account_snapshot(account)
    for part in PARTS:
        assert after[part] == before[part], part
    assert answer["left"]

    for flow in account.mediaconnect.flows.values():
        flow["Outputs"].clear()
    for failed in (later, earlier, later, earlier):
        undo_by_sweep(run, failed)
    after = account_snapshot(account)
    assert (after["roles"], after["secrets"], account.items("journal")) == ({}, {}, [])
