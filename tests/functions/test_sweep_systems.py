"""sweep_grants: accesses without grants, handed-off accesses, and partner keys."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.model import OperationModel

from latchkey.aws import clients
from latchkey.registry import registry
from latchkey.registry.accesses import StatusChange
from tests.functions.account import ACCOUNT, Account
from tests.functions.clean_up_steps import ACCESS, GRANT, delete_location, grants, onboarded
from tests.functions.onboarding_requests import PARTNER, Run, role_name_of
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


# The calls by which a sweep finds two resources, empty pages included.
READS = {
    "mediapackage": {"ListOriginEndpoints": 5},
    "mediapackage-vod": {"ListPackagingGroups": 5},
    "mediapackagev2": {"ListOriginEndpoints": 5},
    "mediaconnect": {"DescribeFlow": 1},
}
SECOND = {
    "mediapackage": {"originEndpoint": "live-dash"},
    "mediapackage-vod": {"packagingGroup": "shows"},
    "mediapackagev2": {"originEndpoint": "dash"},
    "mediaconnect": {"output": "archive"},
}


def add_second(account: Account) -> None:
    account.mediapackage.add("live-dash", f"arn:aws:mediapackage:us-east-1:{ACCOUNT}:origin_endpoints/2")
    account.mediapackage_vod.add("shows", f"arn:aws:mediapackage-vod:us-east-1:{ACCOUNT}:packaging-groups/shows")
    account.mediapackagev2.add("sports/one/dash")
    account.mediaconnect.add("output", "archive", "zixi-push")


@contextmanager
def calls_to(service: str, error: int | None = None) -> Iterator[Counter[str]]:
    """Counts the calls to a service. With an error, the service answers each with this status."""
    counts: Counter[str] = Counter()
    events = clients.client_for(service).meta.events

    def note(model: OperationModel, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        counts[model.name] += 1
        answer = {"Error": {"Code": "Refused", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": error}}
        return (SimpleNamespace(status_code=error), answer) if error else None

    events.register_first(f"before-call.{service}", note)
    yield counts
    events.unregister(f"before-call.{service}", note)


@pytest.mark.parametrize("system", READS)
def test_a_deleted_resource_starts_a_cleanup(run: Run, account: Account, machine: StateMachine, system: str) -> None:
    """No event reports the deletion of a resource whose service creates no grants."""
    access = Onboarding(run, account, system=system).run_through("record_access")
    account.delete_resources()

    assert sweep(run, "event-1")["cleaning"] == [access.checked["accessId"]]


@pytest.mark.parametrize("system", READS)
def test_a_list_of_resources_is_read_once(run: Run, account: Account, machine: StateMachine, system: str) -> None:
    add_second(account)
    Onboarding(run, account, system=system).run_through("record_access")
    Onboarding(run, account, requestId="request-2", system=system, resource=SECOND[system]).run_through("record_access")

    with calls_to(system) as counts:
        swept = run("sweep_grants", {"id": "event-1"})

    assert (swept["accesses"], swept["cleaning"], counts) == (2, [], READS[system])


@pytest.mark.parametrize("error", [403, 404, 429, 500])
@pytest.mark.parametrize("system", ["mediapackage", "mediapackage-vod"])
def test_a_list_that_cannot_be_read_decides_nothing(
    run: Run, account: Account, machine: StateMachine, system: str, error: int
) -> None:
    """The other checks of the sweep are made nevertheless."""
    access = Onboarding(run, account, system=system).run_through("record_access")
    account.delete_resources()

    with calls_to(system, error) as counts:
        assert run("sweep_grants", {"id": "event-1"})["cleaning"] == []
        assert counts.total() > 0
        role = role_name_of(system)
        account.iam.delete_role_policy(RoleName=role, PolicyName="ReadOneSecret")
        account.iam.delete_role(RoleName=role)
        assert sweep(run, "event-2")["cleaning"] == [access.checked["accessId"]]


@pytest.mark.parametrize("error", [403, 500])
@pytest.mark.parametrize("system", ["mediapackagev2", "mediaconnect"])
def test_a_part_of_a_service_that_cannot_be_read_decides_nothing(
    run: Run, account: Account, machine: StateMachine, system: str, error: int
) -> None:
    Onboarding(run, account, system=system).run_through("record_access")
    account.delete_resources()

    with calls_to(system, error) as counts:
        assert run("sweep_grants", {"id": "event-1"})["cleaning"] == []

    assert counts.total() > 0


def test_a_removed_output_of_a_flow_starts_a_cleanup(run: Run, account: Account, machine: StateMachine) -> None:
    access = Onboarding(run, account, system="mediaconnect").run_through("record_access")
    [flow] = account.mediaconnect.flows.values()
    flow["Outputs"].clear()

    assert sweep(run, "event-1")["cleaning"] == [access.checked["accessId"]]


def test_a_deleted_resource_of_an_unmanaged_access_starts_a_cleanup(run: Run, account: Account, machine: StateMachine) -> None:
    access = Onboarding(run, account, system="mediapackage").run_through("record_access")
    record = registry().accesses.get(access.checked["accessId"])
    assert record
    registry().accesses.mark_unmanaged(record, [])
    assert sweep(run, "event-1")["cleaning"] == []

    account.delete_resources()

    assert sweep(run, "event-2")["cleaning"] == [access.checked["accessId"]]


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
