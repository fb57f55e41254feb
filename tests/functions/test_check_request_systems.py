"""check_request: the rules for resources of MediaPackage and MediaConnect."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.functions.account import ACCOUNT, OURS, REGION, Account
from tests.functions.media_services import FLOW
from tests.functions.onboarding_requests import (
    Run,
    check_event,
    check_rejection,
    existing,
    onboarding,
    rejected_paths,
    rejection,
    role_name_of,
)
from tests.functions.onboarding_steps import Onboarding

NOT_THERE = "does not exist, and Latchkey makes none: make it first, or set configure to false"
V2 = "sports/one/hls"
V2_ARN = f"arn:aws:mediapackagev2:{REGION}:{ACCOUNT}:channelGroup/sports/channel/one/originEndpoint/hls"
ANYBODY = {"Effect": "Allow", "Principal": "*", "Action": "mediapackagev2:GetObject", "Resource": V2_ARN}
BY_ROLE = ["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"]
SRT = {"algorithm": None, "keyType": "srt-password"}


@pytest.fixture
def resources(account: Account) -> None:
    """Creates the resources that the requests name."""
    account.add_resources()


@pytest.mark.usefixtures("resources")
@pytest.mark.parametrize("system", BY_ROLE)
def test_an_existing_resource_passes_and_a_second_check_changes_nothing(run: Run, account: Account, system: str) -> None:
    checked = run("check_request", check_event(onboarding(system)))
    before = account.snapshot()

    assert (checked["needsSecret"], checked["hasResource"], checked["secretArn"]) == (True, True, None)
    assert run("check_request", check_event(onboarding(system))) == checked
    after = account.snapshot()
    assert {part for part in before if after[part] != before[part]} <= {"table"}


@pytest.mark.parametrize("system", BY_ROLE)
def test_a_missing_resource_is_rejected(run: Run, system: str) -> None:
    assert rejected_paths(run, system=system) == {"resource"}


@pytest.mark.parametrize("system", BY_ROLE)
def test_a_resource_that_its_owner_configures_is_not_read(run: Run, system: str) -> None:
    checked = run("check_request", check_event(onboarding(system, resource={"configure": False})))

    assert (checked["needsSecret"], checked["hasResource"]) == (True, False)


def test_an_endpoint_without_a_policy_exists(run: Run, account: Account) -> None:
    account.mediapackagev2.add(V2)

    assert run("check_request", check_event(onboarding("mediapackagev2")))["hasResource"] is True


@pytest.mark.parametrize("statement", [ANYBODY, ANYBODY | {"Principal": {"AWS": "*"}, "Sid": "Players"}])
def test_an_endpoint_with_a_public_policy_serves_everybody_until_its_confirmation(
    run: Run, account: Account, statement: dict[str, Any]
) -> None:
    account.mediapackagev2.add(V2, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    checked = run("check_request", check_event(onboarding("mediapackagev2")))

    assert (checked["hasResource"], checked["staged"], checked["checksFirst"]) == (True, True, False)


def test_an_endpoint_whose_policy_names_a_cdn_passes(run: Run, account: Account) -> None:
    named = ANYBODY | {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/Cdn"}}
    account.mediapackagev2.add(V2, Policy=json.dumps({"Version": "2012-10-17", "Statement": [named]}))

    assert run("check_request", check_event(onboarding("mediapackagev2")))["hasResource"] is True


@pytest.mark.usefixtures("resources")
@pytest.mark.parametrize(("former", "latter"), [(ACCOUNT, "444455556666"), (REGION, "eu-west-1")], ids=["account", "Region"])
def test_a_flow_of_another_account_or_region_is_rejected_without_a_read(run: Run, former: str, latter: str) -> None:
    assert rejected_paths(run, system="mediaconnect", resource={"flowArn": FLOW.replace(former, latter)}) == {
        "resource.flowArn"
    }


@pytest.mark.usefixtures("resources")
@pytest.mark.parametrize("resource", [{"output": "another"}, {"output": None, "source": "studio"}])
def test_a_missing_part_of_a_flow_is_rejected(run: Run, resource: dict[str, Any]) -> None:
    assert rejected_paths(run, system="mediaconnect", resource=resource) == {"resource"}


@pytest.mark.parametrize(
    ("kind", "protocol", "key", "needed"),
    [
        ("output", "srt-listener", {}, "encrypts with static-key only what speaks zixi"),
        ("output", "rtp", {}, "encrypts with static-key only what speaks zixi"),
        ("source", "zixi-pull", SRT, "encrypts with srt-password only what speaks srt"),
        ("source", "rtp-fec", SRT, "encrypts with srt-password only what speaks srt"),
    ],
)
def test_a_protocol_that_does_not_support_the_key_type_is_rejected(
    run: Run, account: Account, kind: str, protocol: str, key: dict[str, Any], needed: str
) -> None:
    account.mediaconnect.add(kind, "studio", protocol)

    rejected = check_rejection(run, system="mediaconnect", resource={"output": None, kind: "studio", **key})

    assert set(rejected) == {"resource"}


@pytest.mark.parametrize(
    ("kind", "protocol", "key"),
    [
        ("output", "zixi-pull", {}),
        ("source", "srt-caller", SRT),
        ("output", "srt-listener", SRT),
        ("entitlement", None, {}),
    ],
)
def test_a_protocol_that_supports_the_key_type_passes(
    run: Run, account: Account, kind: str, protocol: str | None, key: dict[str, Any]
) -> None:
    account.mediaconnect.add(kind, "studio", protocol)
    request = onboarding("mediaconnect", resource={"output": None, kind: "studio", **key})

    assert run("check_request", check_event(request))["hasResource"] is True


@pytest.mark.parametrize(("status", "rejected"), [("ACTIVE", {"resource"}), ("STANDBY", set())])
def test_an_entitled_source_of_an_active_flow_is_rejected(run: Run, account: Account, status: str, rejected: set[str]) -> None:
    account.mediaconnect.add("source", "studio", EntitlementArn="arn:aws:mediaconnect:us-east-1:444455556666:entitlement:1-a:b")
    account.mediaconnect.flows[FLOW]["Status"] = status
    resource = {"output": None, "source": "studio"}

    if rejected:
        assert rejected_paths(run, system="mediaconnect", resource=resource) == rejected
    else:
        assert run("check_request", check_event(onboarding("mediaconnect", resource=resource)))["hasResource"] is True


@pytest.mark.usefixtures("resources")
@pytest.mark.parametrize("tags", [{}, OURS | {"latchkey:access": "mediapackage/originEndpoint/another"}])
@pytest.mark.parametrize("system", BY_ROLE)
def test_a_foreign_role_with_the_name_of_the_reader_role_is_rejected(
    run: Run, account: Account, system: str, tags: dict[str, str]
) -> None:
    account.role(role_name_of(system), tags=tags)

    assert rejected_paths(run, system=system) == {"resource"}


def _withdraw_consent(account: Account) -> None:
    """Removes the consent tag of every resource."""
    account.mediapackage.resources["live-hls"]["Tags"] = {"owner": "other-team"}
    account.mediapackage_vod.resources["films"]["Tags"] = {"latchkey:consent": "import"}
    account.mediapackagev2.endpoints[V2]["Tags"] = {}
    account.mediaconnect.tags[FLOW] = {}


@pytest.mark.usefixtures("resources")
@pytest.mark.parametrize("system", BY_ROLE)
def test_a_resource_without_consent_is_rejected(run: Run, account: Account, system: str) -> None:
    _withdraw_consent(account)

    assert rejected_paths(run, system=system) == {"resource"}


@pytest.mark.usefixtures("resources")
@pytest.mark.parametrize("system", BY_ROLE)
def test_a_resource_that_stays_as_it_is_recorded_needs_no_consent_again(run: Run, account: Account, system: str) -> None:
    Onboarding(run, account, system=system).run_through("record_access")
    _withdraw_consent(account)

    again = Onboarding(run, account, system=system, requestId="request-2").run_through("check_request")

    assert again.checked["hasResource"] is True


@pytest.mark.usefixtures("resources")
@pytest.mark.parametrize("system", BY_ROLE)
def test_a_resource_that_an_unrecorded_request_configured_needs_consent(run: Run, account: Account, system: str) -> None:
    Onboarding(run, account, system=system).run_through("configure_access").end()
    _withdraw_consent(account)

    assert rejected_paths(run, system=system, requestId="request-2") == {"resource"}


@pytest.mark.usefixtures("resources")
@pytest.mark.parametrize("system", BY_ROLE)
def test_a_secret_of_another_access_needs_consent(run: Run, account: Account, system: str) -> None:
    first = Onboarding(run, account, system=system).run_through("create_secret")
    first.end()
    another = OURS | {"latchkey:access": f"{system}/kind/another"}
    secret = account.secret(
        "latchkey/another/token", account.value(first.secret), another, key=account.key(alias="alias/another")
    )
    members: dict[str, Any] = {"secret": existing(secret), "key": {"alias": "alias/another"}, "resource": {"configure": False}}

    request = check_event(onboarding(system, requestId="request-2", **members), contentHash="d" * 64, executionArn="arn:2")
    assert set(rejection(run, "check_request", request)) == {"secret.value.existing.secretArn"}
    account.secretsmanager.tag_resource(SecretId=secret, Tags=[{"Key": "latchkey:consent", "Value": "adopt"}])
    assert run("check_request", request)["secretArn"] == secret


@pytest.mark.usefixtures("resources")
@pytest.mark.parametrize("system", BY_ROLE)
def test_the_secret_of_the_access_itself_needs_no_consent(run: Run, account: Account, system: str) -> None:
    first = Onboarding(run, account, system=system).run_through("record_access")

    again = Onboarding(run, account, system=system, requestId="request-2", secret=existing(first.secret))

    assert again.run_through("check_request").checked["secretArn"] == first.secret


@pytest.mark.usefixtures("resources")
@pytest.mark.parametrize("system", BY_ROLE)
def test_management_roles_are_rejected_for_systems_that_do_not_need_them(run: Run, system: str) -> None:
    rejected = check_rejection(run, system=system, managementRoles=[f"arn:aws:iam::{ACCOUNT}:role/media/Management"])

    assert set(rejected) == {"detail"}


@pytest.mark.usefixtures("resources")
@pytest.mark.parametrize("system", BY_ROLE)
def test_a_secret_of_another_account_or_region_is_rejected(run: Run, system: str) -> None:
    for region, account in ((REGION, "444455556666"), ("eu-west-1", ACCOUNT)):
        secret = f"arn:aws:secretsmanager:{region}:{account}:secret:theirs-AbCdEf"
        request = onboarding(system, requestId=f"request-{region}", secret=existing(secret))

        assert set(rejection(run, "check_request", check_event(request))) == {"secret.value.existing.secretArn"}


@pytest.mark.usefixtures("resources")
def test_an_encrypted_resource_gets_a_new_secret_only_on_request(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    theirs = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:theirs-AbCdEf"
    [part] = account.mediaconnect.flows[FLOW]["Outputs"]
    part["Encryption"] = {
        "KeyType": "static-key",
        "Algorithm": "aes256",
        "RoleArn": "arn:aws:iam::1:role/r",
        "SecretArn": theirs,
    }

    assert list(check_rejection(run, system="mediaconnect")) == ["secret.replacesToken"]
    asked = onboarding("mediaconnect", requestId="request-2", secret={"replacesToken": True})
    assert run("check_request", check_event(asked))["hasResource"] is True
