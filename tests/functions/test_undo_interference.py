"""undo_onboarding after somebody else, or a later request for the same access, has used or changed what the request set."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import LatchkeyError
from latchkey.registry import registry
from tests.functions.account import ACCOUNT, REGION, Account
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import NAME, Run
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
