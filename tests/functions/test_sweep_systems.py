"""sweep_grants: accesses without grants, handed-off accesses, and partner keys."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.registry import registry
from latchkey.registry.accesses import StatusChange
from tests.functions.account import Account
from tests.functions.clean_up_steps import ACCESS, GRANT, delete_location, grants, onboarded
from tests.functions.onboarding_requests import PARTNER, Run
from tests.functions.onboarding_steps import Onboarding
from tests.functions.state_machine import StateMachine

ADOBE = "adobe-experience-platform"
PARTNERS = f"{ADOBE}/instance/us-east-1"

# What the input of a cleanup contains besides if the sweep starts it.
FROM_SWEEP = {"hint": None, "leaves": False, "deletesKey": False}


@pytest.fixture(autouse=True)
def there(account: Account, stack: Callable[..., None]) -> None:
    stack(GRACE_SECONDS="0", ALLOWED_PARTNER_ACCOUNTS=PARTNER, ALLOWED_ORIGIN_HOSTS="*")
    account.add_resources()


@pytest.fixture
def machine(account: Account) -> StateMachine:
    StateMachine("end-request")
    return StateMachine("clean-up-grants")


def sweep(run: Run, event_id: str) -> dict[str, Any]:
    """Sweeps twice with the same event; the second sweep starts and changes nothing."""
    swept = run("sweep_grants", {"id": event_id})
    assert run("sweep_grants", {"id": event_id}) == swept
    return swept


def looked_at(run: Run, event_id: str) -> set[str]:
    """The keys whose grants the sweep lists."""
    keys: set[str] = set()

    def note(params: dict[str, Any], **_: Any) -> None:
        keys.add(params["KeyId"])

    events = clients.kms().meta.events
    events.register("before-parameter-build.kms.ListGrants", note)
    sweep(run, event_id)
    events.unregister("before-parameter-build.kms.ListGrants", note)
    return keys


@pytest.mark.parametrize("system", ["mediapackage", "mediapackagev2", "mediaconnect"])
def test_a_disabled_key_starts_a_cleanup(run: Run, account: Account, machine: StateMachine, system: str) -> None:
    """The event of DisableKey was lost. A service that reads its secret through a role has no grant that could be missing."""
    access = Onboarding(run, account, system=system).run_through("record_access")
    account.kms.disable_key(KeyId=access.key.rpartition("/")[2])

    assert sweep(run, "event-1")["cleaning"] == [access.checked["accessId"]]


@pytest.mark.parametrize("system", ["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"])
@pytest.mark.parametrize("configure", [True, False])
def test_an_access_without_grants_needs_no_cleanup(
    run: Run, account: Account, machine: StateMachine, system: str, configure: bool
) -> None:
    Onboarding(run, account, system=system, resource={} if configure else {"configure": False}).run_through("record_access")

    swept = sweep(run, "event-1")

    assert (swept["accesses"], swept["cleaning"], swept["ending"], swept["unreadable"]) == (1, [], [], 0)
    assert machine() == {}


def test_a_handed_off_source_location_that_does_not_exist_yet_needs_no_cleanup(
    run: Run, account: Account, machine: StateMachine
) -> None:
    Onboarding(run, account, resource={"configure": False}).run_through("record_access")
    assert sweep(run, "event-1")["cleaning"] == []

    account.mediatailor.add("sports-origin")
    assert sweep(run, "event-2")["cleaning"] == []
    assert machine() == {}


def test_an_orphaned_grant_of_a_handed_off_source_location_is_cleaned_up(
    run: Run, account: Account, machine: StateMachine
) -> None:
    access = Onboarding(run, account, resource={"configure": False}).run_through("record_access")
    account.grant(access.key, GRANT, access.secret)

    assert sweep(run, "event-1")["cleaning"] == [ACCESS]
    assert [*machine().values()] == [
        {"accessId": ACCESS, "keys": [access.key], "hint": None, "leaves": False, "deletesKey": False}
    ]


def test_the_grants_on_a_partner_key_are_not_listed(run: Run, account: Account, machine: StateMachine) -> None:
    partners = Onboarding(run, account, system=ADOBE).run_through("record_access")
    ours = onboarded(run, account, requestId="request-2")
    account.grant(partners.key, GRANT, ours.secret)
    delete_location(account)

    assert looked_at(run, "event-1") == {ours.key}
    assert [*machine().values()] == [
        {"accessId": ACCESS, "keys": [ours.key], "hint": None, "leaves": False, "deletesKey": False}
    ]
    assert len(grants(account, partners.key)) == 1


def _disable(account: Account, key: str) -> None:
    account.kms.disable_key(KeyId=key.rpartition("/")[2])


def _schedule(account: Account, key: str) -> None:
    account.kms.schedule_key_deletion(KeyId=key.rpartition("/")[2])


@pytest.mark.parametrize("act", [_disable, _schedule])
def test_a_disabled_partner_key_is_looked_at_without_an_event(
    run: Run, account: Account, machine: StateMachine, act: Callable[[Account, str], None]
) -> None:
    access = Onboarding(run, account, system=ADOBE).run_through("record_access")
    assert sweep(run, "event-1")["cleaning"] == []

    act(account, access.key)
    before = account.snapshot()
    assert sweep(run, "event-2")["cleaning"] == [PARTNERS]
    assert [*machine().values()] == [{"accessId": PARTNERS, "keys": []} | FROM_SWEEP]
    assert account.snapshot()["keys"] == before["keys"]

    record(account, "revoked")
    assert sweep(run, "event-3")["cleaning"] == [PARTNERS]


def record(account: Account, status: Any) -> None:
    """Records the status as the report of a cleanup does."""
    found = registry().accesses.get(PARTNERS)
    assert found
    change = StatusChange(kind="Access Revoked", detail="{}", executionArn="execution", at=datetime.now(UTC))
    registry().accesses.record_status(found, status, [], changes=[change])
    registry().accesses.note_published(PARTNERS, change)


def test_a_partner_key_that_is_enabled_again_is_reported(run: Run, account: Account, machine: StateMachine) -> None:
    access = Onboarding(run, account, system=ADOBE).run_through("record_access")
    _disable(account, access.key)
    record(account, "revoked")
    account.kms.enable_key(KeyId=access.key.rpartition("/")[2])

    assert sweep(run, "event-1")["cleaning"] == [PARTNERS]
    assert len(machine()) == 1
