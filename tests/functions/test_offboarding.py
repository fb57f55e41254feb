"""The steps of an offboarding, for every system and every choice for the resource, and the restoration that reverses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import Conflict, InvalidRequest
from latchkey.registry import registry
from tests.functions.account import Account
from tests.functions.clean_up_steps import ACCESS, token_configuration
from tests.functions.offboarding_steps import Offboarding
from tests.functions.onboarding_requests import NAME, Run, existing
from tests.functions.onboarding_steps import Onboarding, key_statements, references, secret_statements

DETACHED = ("mediatailor", "mediapackagev2")
KEPT = ("mediapackage", "mediapackage-vod", "mediaconnect")


@pytest.fixture(autouse=True)
def resources(account: Account) -> None:
    account.add_resources()
    account.open_bus()


def onboarded(run: Run, account: Account, **members: Any) -> Onboarding:
    return Onboarding(run, account, **members).run_through("record_access")


def sids(statements: list[dict[str, Any]]) -> set[str]:
    return {statement["Sid"] for statement in statements}


def rejected(offboarding: Offboarding, **changes: Any) -> dict[str, str]:
    """The rules that an offboarding breaks, by path. It changes nothing but what a rejection records."""
    with pytest.raises(InvalidRequest) as caught:
        offboarding.check(**changes)
    return {problem.path: problem.rule for problem in caught.value.problems}


@pytest.mark.parametrize("system", DETACHED)
def test_a_resource_that_can_be_detached_loses_the_secret_and_everything_that_served_it(
    run: Run, account: Account, system: str
) -> None:
    before = account.resources()
    access = onboarded(run, account, system=system)

    result = Offboarding(run, access).run_through()

    assert account.resources() == before
    assert not account.mediatailor.locations.get(NAME, {}).get("AccessConfiguration")
    assert account.iam.list_roles()["Roles"] == []
    assert "DeletedDate" in account.secretsmanager.describe_secret(SecretId=access.secret)
    assert [one["resource"] for one in result["scheduled"]] == [access.secret]
    assert sids(key_statements(account, access.key)) <= {"EnableIAMUserPermissions", "LatchkeyCreation"}
    assert (result["status"], result["left"], result["steps"]) == ("offboarded", [], [])
    assert [item["status"]["S"] for item in account.items("access")] == ["offboarded"]
    assert not {resource for resource in references(account) if resource.startswith(("secret ", "arn:aws:kms", "arn:aws:iam"))}
    assert account.items("journal") == []


@pytest.mark.parametrize("system", KEPT)
def test_a_resource_without_an_api_call_keeps_all_that_it_needs_until_a_person_has_detached_it(
    run: Run, account: Account, system: str
) -> None:
    access = onboarded(run, account, system=system)
    before = account.snapshot() | {"table": None}

    result = Offboarding(run, access).run_through()

    assert account.snapshot() | {"table": None} == before
    assert (len(result["left"]), bool(result["steps"]), result["scheduled"]) == (1, True, [])
    account.delete_resources()
    finished = Offboarding(run, access, "offboard-2").run_through()
    assert (finished["left"], [one["resource"] for one in finished["scheduled"]]) == ([], [access.secret])
    assert account.iam.list_roles()["Roles"] == []


@pytest.mark.parametrize("system", [*DETACHED, *KEPT])
def test_a_resource_that_is_left_keeps_all_that_it_needs(run: Run, account: Account, system: str) -> None:
    access = onboarded(run, account, system=system)
    before = account.snapshot() | {"table": None}

    result = Offboarding(run, access, resource="leave").run_through()

    assert account.snapshot() | {"table": None} == before
    assert result["left"]
    assert references(account)[f"{access.key}"]


def test_the_former_settings_of_a_location_are_restored_and_the_changes_of_its_owner_kept(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, HttpConfiguration={"BaseUrl": "https://former.example.com"})
    access = onboarded(run, account)
    account.mediatailor.locations[NAME]["DefaultSegmentDeliveryConfiguration"] = {"BaseUrl": "https://segments.example.com"}

    Offboarding(run, access).run_through()

    location = account.mediatailor.locations[NAME]
    assert location["HttpConfiguration"] == {"BaseUrl": "https://former.example.com"}
    assert location["DefaultSegmentDeliveryConfiguration"] == {"BaseUrl": "https://segments.example.com"}
    assert not location.get("AccessConfiguration")


def test_the_settings_before_the_first_of_several_onboardings_are_restored(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, HttpConfiguration={"BaseUrl": "https://former.example.com"})
    onboarded(run, account)
    access = onboarded(run, account, requestId="request-2", resource={"header": "X-Other"})

    Offboarding(run, access).run_through()

    assert account.mediatailor.locations[NAME]["HttpConfiguration"] == {"BaseUrl": "https://former.example.com"}


def test_a_token_is_removed_and_no_former_one_is_sent_to_a_url_that_the_owner_has_set_since(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, HttpConfiguration={"BaseUrl": "https://former.example.com"})
    access = onboarded(run, account)
    account.mediatailor.locations[NAME]["HttpConfiguration"] = {"BaseUrl": "https://other.example.com"}

    Offboarding(run, access).run_through()

    location = account.mediatailor.locations[NAME]
    assert (location["HttpConfiguration"]["BaseUrl"], location.get("AccessConfiguration") or None) == (
        "https://other.example.com",
        None,
    )


def test_an_access_of_an_earlier_version_is_detached_and_the_outcome_says_so(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, HttpConfiguration={"BaseUrl": "https://former.example.com"})
    access = onboarded(run, account)
    account.dynamodb.update_item(
        TableName="latchkey-accesses",
        Key={"kind": {"S": "access"}, "id": {"S": ACCESS}},
        UpdateExpression="REMOVE formerSettings",
    )

    result = Offboarding(run, access).run_through()

    assert not account.mediatailor.locations[NAME].get("AccessConfiguration")
    assert account.mediatailor.locations[NAME]["HttpConfiguration"]["BaseUrl"] == "https://origin.example.com/vod"
    assert any("are not recorded" in text for text in result["undone"])


def test_a_created_location_is_deleted_only_if_the_request_says_so(run: Run, account: Account) -> None:
    access = onboarded(run, account)

    result = Offboarding(run, access, resource="delete").run_through()

    assert NAME not in account.mediatailor.locations
    assert (result["left"], [one["resource"] for one in result["scheduled"]]) == ([], [access.secret])


def test_a_location_that_contains_sources_is_not_deleted(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    account.mediatailor.sources[NAME] = ["film"]

    assert set(rejected(Offboarding(run, access, resource="delete"))) == {"resource"}
    assert NAME in account.mediatailor.locations


def test_an_adopted_secret_loses_only_our_statements(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    secret = account.secret("origin/token", '{"MyAccessTokenIdentifier": "not-a-real-token"}')
    access = onboarded(run, account, secret=existing(secret))
    assert sids(secret_statements(account, secret))

    result = Offboarding(run, access).run_through()

    assert secret_statements(account, secret) == []
    assert "DeletedDate" not in account.secretsmanager.describe_secret(SecretId=secret)
    assert result["scheduled"] == []


@pytest.mark.parametrize("created_by_first", [True, False])
def test_a_shared_secret_and_key_serve_the_other_access_on(
    run: Run, account: Account, stack: Callable[..., None], created_by_first: bool
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    first = onboarded(run, account)
    account.secretsmanager.tag_resource(SecretId=first.secret, Tags=[{"Key": "latchkey:consent", "Value": "adopt"}])
    second = onboarded(
        run, account, requestId="request-2", resource={"sourceLocation": "second"}, secret=existing(first.secret)
    )
    leaving = first if created_by_first else second
    before = key_statements(account, first.key), secret_statements(account, first.secret)

    result = Offboarding(run, leaving).run_through()

    assert (key_statements(account, first.key), secret_statements(account, first.secret)) == before
    assert "DeletedDate" not in account.secretsmanager.describe_secret(SecretId=first.secret)
    assert result["scheduled"] == []
    # The last access that uses the secret takes it with it.
    rest = second if created_by_first else first
    last = Offboarding(run, rest, "offboard-2").run_through()
    assert [one["resource"] for one in last["scheduled"]] == [first.secret]


def test_running_every_step_twice_changes_nothing_more(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    offboarding = Offboarding(run, access)
    results = []
    for step in (offboarding.check, offboarding.detach, offboarding.remove, offboarding.delete, offboarding.record):
        step()
        before = account.snapshot(values=False) | {"table": None}
        results.append(step())
        assert account.snapshot(values=False) | {"table": None} == before
    offboarding.report(results[-1])
    again = Offboarding(run, access, "offboard-2").run_through()
    assert (again["status"], again["undone"], again["scheduled"]) == ("unchanged", [], results[-1]["result"]["scheduled"])


def test_a_failure_before_the_resource_changed_leaves_the_access_as_it_was(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    before = account.snapshot() | {"table": None}
    offboarding = Offboarding(run, access)
    offboarding.check()

    recorded = offboarding.record(failed=True)

    assert (recorded["changed"], account.snapshot() | {"table": None}) == (False, before)
    assert registry().phases.state(ACCESS) == "active"


def test_a_failure_after_the_resource_changed_leaves_the_phase_and_another_request_finishes(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    offboarding = Offboarding(run, access)
    offboarding.check()
    offboarding.detach()

    recorded = offboarding.record(failed=True)
    registry().locks.unlock(ACCESS, offboarding.execution)

    assert (recorded["changed"], registry().phases.state(ACCESS)) == (True, "offboarding")
    result = Offboarding(run, access, "offboard-2").run_through()
    assert [one["resource"] for one in result["scheduled"]] == [access.secret]


def test_a_resource_that_its_owner_configured_again_stops_the_removal(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    offboarding = Offboarding(run, access)
    offboarding.check()
    offboarding.detach()
    account.mediatailor.locations[NAME]["AccessConfiguration"] = token_configuration(access.secret)

    for step in (offboarding.remove, offboarding.delete):
        with pytest.raises(Conflict):
            step()
    assert "DeletedDate" not in account.secretsmanager.describe_secret(SecretId=access.secret)


def test_a_secret_that_another_location_uses_stays(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    account.mediatailor.add("unknown", token_configuration(access.secret))

    result = Offboarding(run, access).run_through()

    assert "DeletedDate" not in account.secretsmanager.describe_secret(SecretId=access.secret)
    assert (len(result["left"]), result["scheduled"]) == (1, [])


REJECTED: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "delete for a resource of others": ({"system": "mediapackagev2"}, {"resource": "delete"}, {"resource"}),
    "detach for a handed-off resource": ({"resource": {"configure": False}}, {"resource": "detach"}, {"resource"}),
}


@pytest.mark.parametrize(("members", "asked", "paths"), REJECTED.values(), ids=REJECTED)
def test_a_choice_that_does_not_fit_the_resource_is_rejected(
    run: Run, account: Account, members: dict[str, Any], asked: dict[str, Any], paths: set[str]
) -> None:
    access = onboarded(run, account, **members)
    before = account.snapshot() | {"table": None}

    assert set(rejected(Offboarding(run, access, **asked))) == paths
    assert account.snapshot() | {"table": None} == before


def test_an_access_that_is_not_recorded_or_of_another_tenant_is_rejected(run: Run, account: Account) -> None:
    access = Onboarding(run, account)
    unknown = Offboarding(run, access)
    assert set(rejected(unknown)) == {"accessId"}
    registry().locks.unlock(ACCESS, unknown.execution)
    access.run_through("record_access")
    assert set(rejected(Offboarding(run, access, "offboard-2"), tenant="news")) == {"accessId"}


def test_a_resource_whose_owner_withdrew_consent_is_rejected(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME)
    access = onboarded(run, account)
    account.mediatailor.locations[NAME]["tags"] = {}

    assert set(rejected(Offboarding(run, access))) == {"resource"}
