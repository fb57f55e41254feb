"""Handoffs: everything but the resource is created and validated, and the owner configures and confirms the resource."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import AccessNotEffective, LatchkeyError, NotYetEffective
from latchkey.registry import registry
from latchkey.requests.parsing import parse_onboarding
from tests.functions.account import ACCOUNT, ADOPT, Account
from tests.functions.media_services import FLOW
from tests.functions.onboarding_requests import NAME, PARTNER, Run, check_event, rejection, role_name_of
from tests.functions.onboarding_steps import Onboarding, account_snapshot

SYSTEMS = ["mediatailor", "mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect", "adobe-experience-platform"]
# The systems whose resources an API describes.
CONFIGURABLE = SYSTEMS[:-1]
OF_THE_RESOURCE = {"resource is configured", "service raises no alert", "grant is there"}
# The attributes of an access that say who holds its lock, and those of a request that say for what it waits.
LOCK = {"running", "runningRequest", "runningSince", "runningTenant", "undoing"}
WAIT = {"waitedFor", "waitingFor", "waitingSince", "waitingUntil"}
DELAYS = {"mediapackage": 600, "mediapackage-vod": 600, "mediapackagev2": 300}


@pytest.fixture(autouse=True)
def allowed(account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_PARTNER_ACCOUNTS=PARTNER, ALLOWED_ORIGIN_HOSTS="*")
    account.add_resources()


def made(run: Run, account: Account, system: str, **members: Any) -> Onboarding:
    """An access before its resource is configured."""
    return Onboarding(run, account, system=system, resource={"configure": False}, **members).run_through("configure_access")


def to_validate(access: Onboarding, **members: Any) -> dict[str, Any]:
    return {"request": access.request, "keyArn": access.key, "secretArn": access.secret or None, **members}


def hand_off(run: Run, account: Account, system: str) -> tuple[Onboarding, dict[str, Any]]:
    """An access whose owner has not configured the resource, and its handoff."""
    access = made(run, account, system)
    validated = run("validate_access", to_validate(access))
    access.record_access()
    return access, validated["handoff"]


def apply_handoff(account: Account, access: Onboarding, handoff: dict[str, Any]) -> None:
    """Configures the resource as the CloudFormation fragment of the handoff says."""
    [[properties]] = [[piece["Properties"]] for piece in (handoff["cloudFormation"] or {"": {"Properties": {}}}).values()]
    system = access.request["system"]
    if system == "mediatailor":
        account.mediatailor.add(NAME, properties["AccessConfiguration"])
        account.grant(access.key, f"MediaTailor-SourceLocation-{ACCOUNT}-{NAME}", access.secret)
    elif system == "mediapackage":
        account.mediapackage.resources["live-hls"]["Authorization"] = properties["Authorization"]
    elif system == "mediapackage-vod":
        account.mediapackage_vod.resources["films"]["Authorization"] = properties["Authorization"]
    elif system == "mediapackagev2":
        policy = {"Policy": json.dumps(properties["Policy"]), "CdnAuthConfiguration": properties["CdnAuthConfiguration"]}
        account.mediapackagev2.add("sports/one/hls", **policy)
    elif system == "mediaconnect":
        account.mediaconnect.flows[FLOW]["Outputs"][0]["Encryption"] = properties["Encryption"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_handoff_validates_everything_but_the_resource(run: Run, account: Account, system: str) -> None:
    access = made(run, account, system)
    before = account.snapshot()

    validated = run("validate_access", to_validate(access))

    assert (validated["detailType"], validated["status"], validated["effectDelaySeconds"]) == (
        "Access Handed Off",
        "handed-off",
        DELAYS.get(system),
    )
    names = {check["name"] for check in validated["checks"]}
    assert {"key is enabled", "key policy admits the roles"} <= names
    assert not names & OF_THE_RESOURCE
    assert [check["name"] for check in validated["checks"] if not check["passed"]] == []
    values = json.dumps(validated["handoff"]["values"])
    assert (access.secret or access.key) in values
    if validated["resources"]["roleArn"]:
        assert validated["resources"]["roleArn"] == f"arn:aws:iam::{ACCOUNT}:role/{role_name_of(system)}"
        assert validated["resources"]["roleArn"] in values
    assert validated["handoff"]["steps"]
    assert run("validate_access", to_validate(access)) == validated
    assert account.snapshot() == before


@pytest.mark.parametrize("system", [system for system in SYSTEMS if system != "adobe-experience-platform"])
def test_a_handoff_does_not_contain_the_token(run: Run, account: Account, system: str) -> None:
    access = made(run, account, system)
    value = account.value(access.secret)
    token = next(iter(json.loads(value).values())) if value.startswith("{") else value

    assert token not in json.dumps(run("validate_access", to_validate(access)))


@pytest.mark.parametrize("system", SYSTEMS)
def test_recording_a_handoff_twice_equals_recording_it_once(run: Run, account: Account, system: str) -> None:
    access, _ = hand_off(run, account, system)
    [item] = account.items("access")
    assert {item[member]["S"] for member in ("status", "reached")} == {"handed-off"}
    assert item["keyArn"]["S"] == access.key
    assert ("secretArn" in item) is bool(access.secret)
    before = account.snapshot()

    resources = {"keyArn": access.key, "secretArn": access.secret or None}
    run("record_access", {"request": access.request, "resources": resources, "status": "handed-off"})

    assert account.snapshot() == before


@pytest.mark.parametrize("system", CONFIGURABLE)
def test_a_premature_confirmation_fails_and_rolls_nothing_back(run: Run, account: Account, system: str) -> None:
    access, _ = hand_off(run, account, system)
    confirmation = confirmed(run, access)
    before = _without_progress(account)

    with pytest.raises(LatchkeyError) as caught:
        run("validate_access", to_validate(confirmation, confirms=True))

    failed = {check["check"] for check in json.loads(str(caught.value))["failed"]}
    # A source location that does not exist can be new and not visible yet.
    assert type(caught.value) is (NotYetEffective if system == "mediatailor" else AccessNotEffective)
    assert "resource is configured" in failed
    assert failed <= OF_THE_RESOURCE
    assert (confirmation.undo(), confirmation.left) == ([], [])
    assert _without_progress(account) == before


def _without_progress(account: Account) -> dict[str, Any]:
    """The account without what a rollback notes about itself: that it holds the lock, and that its journal is closed."""
    snapshot = account_snapshot(account)
    items = [item for item in snapshot["table"] if item["kind"]["S"] != "journal"]
    return snapshot | {"table": [{name: item[name] for name in item if name not in LOCK | WAIT} for item in items]}


def confirmed(run: Run, access: Onboarding) -> Onboarding:
    """The checked request of a confirmation."""
    members = {name: value for name, value in access.request.items() if name != "requestId"}
    again = Onboarding(run, access.account, requestId="request-2", **members)
    event = check_event(again.request, executionArn=again.execution, confirms=True)
    again.checked = run("check_request", event)
    assert run("check_request", event) == again.checked
    again.key, again.secret = again.checked["keyArn"], again.checked["secretArn"] or ""
    return again


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_confirmed_handoff_is_active(run: Run, account: Account, system: str) -> None:
    access, handoff = hand_off(run, account, system)
    apply_handoff(account, access, handoff)

    confirmation = confirmed(run, access)
    assert (confirmation.checked["changed"], confirmation.key, confirmation.secret) == (True, access.key, access.secret)
    validated = run("validate_access", to_validate(confirmation, confirms=True))

    assert (validated["detailType"], validated["status"], validated["handoff"]) == ("Access Onboarded", "active", None)
    results = {check["name"]: check["result"] for check in validated["checks"]}
    # What no API shows is recorded as what a person confirmed.
    assert results["resource is configured"] == ("passed" if system in CONFIGURABLE else "confirmed")
    assert ("service raises no alert" in results) is (system in CONFIGURABLE)
    event = {"request": confirmation.request, "resources": validated["resources"], "status": validated["status"]}
    assert run("record_access", event) == run("record_access", event)
    [item] = account.items("access")
    assert {item[member]["S"] for member in ("status", "reached")} == {"active"}


def onboard(run: Run, account: Account, system: str) -> None:
    """An access that its owner has configured and confirmed."""
    access, handoff = hand_off(run, account, system)
    apply_handoff(account, access, handoff)
    confirmation = confirmed(run, access)
    validated = run("validate_access", to_validate(confirmation, confirms=True))
    run("record_access", {"request": confirmation.request, "resources": validated["resources"], "status": validated["status"]})
    confirmation.end()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_confirmed_access_stays_active_when_it_is_requested_again(run: Run, account: Account, system: str) -> None:
    onboard(run, account, system)

    again = made(run, account, system, requestId="request-3")

    assert run("validate_access", to_validate(again))["status"] == "active"
    again.end()
    assert confirmed(run, again).checked["changed"] is False


@pytest.mark.parametrize("system", CONFIGURABLE)
def test_an_access_whose_resource_was_deleted_is_handed_off_again(run: Run, account: Account, system: str) -> None:
    onboard(run, account, system)
    for held in (account.mediatailor.locations, account.mediapackage.resources, account.mediapackage_vod.resources):
        held.clear()
    for held in (account.mediapackagev2.endpoints, account.mediaconnect.flows):
        held.clear()

    again = made(run, account, system, requestId="request-3")

    assert run("validate_access", to_validate(again))["status"] == "handed-off"


def test_an_access_with_a_new_base_url_is_handed_off_again(run: Run, account: Account) -> None:
    onboard(run, account, "mediatailor")

    resource = {"configure": False, "baseUrl": "https://other.example.com/vod"}
    again = Onboarding(run, account, requestId="request-3", resource=resource).run_through("configure_access")

    assert run("validate_access", to_validate(again))["status"] == "handed-off"


ACCESS = f"mediatailor/sourceLocation/{NAME}"
ELSEWHERE = {"configure": False, "baseUrl": "https://other.example.com/vod"}


def handed_off_elsewhere(run: Run, account: Account) -> tuple[Onboarding, Onboarding]:
    """An access in service, and a handoff of it with another base URL."""
    first = Onboarding(run, account).run_through("record_access")
    again = Onboarding(run, account, requestId="request-3", resource=ELSEWHERE).run_through("configure_access")
    again.record_access()
    return first, again


def test_a_handoff_does_not_replace_the_record_of_an_access_in_service(run: Run, account: Account) -> None:
    first, again = handed_off_elsewhere(run, account)

    record, pending = registry().accesses.get(ACCESS), registry().accesses.to_confirm(ACCESS)
    assert record
    assert pending
    assert (record.status, record.reached, record.request_id) == ("active", "active", "request-1")
    assert registry().accesses.recorded_request(ACCESS) == parse_onboarding(first.request)
    assert (pending.is_pending, pending.request) == (True, parse_onboarding(again.request))
    announced = [one.request.request_id for one in registry().accesses.announced_requests(ACCESS)]
    assert announced == ["request-1", "request-3"]


def test_a_confirmed_handoff_replaces_the_record_of_an_access_in_service(run: Run, account: Account) -> None:
    _, again = handed_off_elsewhere(run, account)
    account.mediatailor.locations[NAME]["HttpConfiguration"] = {"BaseUrl": ELSEWHERE["baseUrl"]}
    account.grant(again.key, f"MediaTailor-SourceLocation-{ACCOUNT}-{NAME}", again.secret)

    confirmation = confirmed(run, again)
    assert (confirmation.checked["changed"], confirmation.key, confirmation.secret) == (True, again.key, again.secret)
    validated = run("validate_access", to_validate(confirmation, confirms=True))
    run("record_access", {"request": confirmation.request, "resources": validated["resources"], "status": "active"})

    record, left = registry().accesses.get(ACCESS), registry().accesses.to_confirm(ACCESS)
    assert record
    assert left
    assert (record.status, record.request_id, left.is_pending) == ("active", "request-2", False)
    assert left.request.resource.base_url == ELSEWHERE["baseUrl"]


def test_a_handoff_whose_request_is_rolled_back_is_forgotten(run: Run, account: Account) -> None:
    handed_off_elsewhere(run, account)
    assert registry().accesses.recorded_by(ACCESS, "request-3")

    registry().accesses.restore(ACCESS, "request-3", {})

    left = registry().accesses.to_confirm(ACCESS)
    assert left
    assert (left.is_pending, left.record.request_id) == (False, "request-1")


@pytest.mark.parametrize("noticed", [True, False])
def test_a_confirmation_after_consent_was_withdrawn_is_rejected(run: Run, account: Account, noticed: bool) -> None:
    key = account.key(tags=ADOPT)
    access = Onboarding(run, account, system="mediapackage", resource={"configure": False}, key={"arn": key})
    access.run_through("record_access")
    account.kms.untag_resource(KeyId=key, TagKeys=["latchkey:consent"])
    event = check_event(access.request, requestId="request-2", executionArn=f"{access.execution}-2", confirms=True)

    assert set(rejection(run, "check_request", event)) == {"key"}
    if noticed:
        account.kms.tag_resource(KeyId=key, Tags=[{"TagKey": name, "TagValue": value} for name, value in ADOPT.items()])
        assert set(rejection(run, "check_request", event)) == {"accessId"}

    record = registry().accesses.get(access.checked["accessId"])
    assert record
    assert (record.status, record.reached) == ("unmanaged", "handed-off")


def test_failed_checks_prevent_a_handoff(run: Run, account: Account) -> None:
    access = made(run, account, "mediapackage")
    account.iam.delete_role_policy(RoleName=role_name_of("mediapackage"), PolicyName="ReadOneSecret")

    with pytest.raises(AccessNotEffective):
        run("validate_access", to_validate(access))
