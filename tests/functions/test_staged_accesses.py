"""A live resource is configured only when those who need its generated token can have it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from latchkey.errors import AccessDenied, Conflict, InvalidRequest
from latchkey.registry import registry
from latchkey.requests.parsing import parse_onboarding
from tests.functions.account import ADOPT, IMPORT, Account
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.media_services import FLOW, MediaPackage
from tests.functions.onboarding_requests import (
    EXECUTION,
    STAGED,
    Run,
    check_event,
    copied,
    existing,
    onboarding,
    rejected_paths,
    rejection,
    role_name_of,
)
from tests.functions.onboarding_steps import Onboarding
from tests.functions.test_sweep_grants import refuse_calls

ENDPOINT = "arn:aws:mediapackage:us-east-1:123456789012:origin_endpoints/1"
ROLE = "arn:aws:iam::123456789012:role/Theirs"
SPEKE = {"KeyType": "speke", "RoleArn": "arn:aws:iam::123456789012:role/Speke", "Url": "https://keys.example.com"}


@pytest.fixture(autouse=True)
def resources(account: Account) -> None:
    """Creates the resources that the requests name."""
    account.add_resources()


def plan(run: Run, system: str, **members: Any) -> tuple[bool, bool, bool]:
    """Whether the request configures its resource, is staged, and checks everything else first."""
    checked = run("check_request", check_event(onboarding(system, **members)))
    return checked["hasResource"], checked["staged"], checked["checksFirst"]


NOW, STAGED_PLAN, AT_ONCE = (True, False, True), (False, True, False), (True, False, False)


@pytest.mark.parametrize("system", STAGED)
def test_a_live_resource_waits_for_its_generated_token(run: Run, system: str) -> None:
    assert plan(run, system, takesEffectNow=False) == STAGED_PLAN


@pytest.mark.parametrize("system", STAGED)
def test_a_request_can_accept_the_interruption(run: Run, system: str) -> None:
    assert plan(run, system, takesEffectNow=True) == NOW


@pytest.mark.parametrize("system", STAGED)
@pytest.mark.parametrize("way", ["imported", "adopted"])
def test_an_existing_token_takes_effect_at_once(run: Run, account: Account, system: str, way: str) -> None:
    theirs = account.secret("MediaPackage/token", "{}", ADOPT if way == "adopted" else IMPORT)
    secret = existing(theirs) if way == "adopted" else copied(theirs)

    assert plan(run, system, takesEffectNow=False, secret=secret) == NOW


@pytest.mark.parametrize("way", ["imported", "adopted"])
def test_the_token_of_a_staged_access_waits_for_the_other_access_as_well(run: Run, account: Account, way: str) -> None:
    first, tags = staged(run, account), ADOPT if way == "adopted" else IMPORT
    account.secretsmanager.tag_resource(
        SecretId=first.secret, Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
    )
    request: dict[str, Any] = {"key": {"arn": first.key}, "takesEffectNow": False}
    request["secret"] = existing(first.secret) if way == "adopted" else copied(first.secret)

    second = Onboarding(run, account, system="mediapackage-vod", requestId="request-2", **request)
    second.check_request()
    assert (second.checked["hasResource"], second.checked["staged"]) == (False, True)
    for step in (second.create_key, second.create_secret, second.attach_policies):
        step()
    with pytest.raises(Conflict):
        run("configure_access", second._step_event)
    second.end()
    assert plan(run, "mediapackage-vod", **request | {"requestId": "request-3", "takesEffectNow": True}) == NOW

    # Those who use the first resource have the token.
    record = registry().accesses.get(first.checked["accessId"])
    assert record
    registry().accesses.save(replace(record, status="active", reached="active"), first.request)
    assert plan(run, "mediapackage-vod", **request | {"requestId": "request-4"}) == NOW


def test_the_configuration_of_a_v2_endpoint_interrupts_nobody(run: Run) -> None:
    assert plan(run, "mediapackagev2") == AT_ONCE


@pytest.mark.parametrize("system", STAGED)
def test_a_token_that_was_in_use_takes_effect_at_once(run: Run, account: Account, system: str) -> None:
    """The owner has removed the configuration since. Those who used the resource still have the token."""
    Onboarding(run, account, system=system).run_through("record_access")
    account.delete_resources()
    account.add_resources()

    assert plan(run, system, takesEffectNow=False, requestId="request-2") == NOW


def test_a_new_token_after_the_loss_of_the_former_one_waits(run: Run, account: Account) -> None:
    access = Onboarding(run, account, system="mediapackage").run_through("record_access")
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)
    account.mediapackage.add("live-hls", ENDPOINT)

    assert plan(run, "mediapackage", takesEffectNow=False, requestId="request-2") == STAGED_PLAN


@pytest.mark.parametrize("system", STAGED)
def test_a_resource_that_is_opened_after_the_check_is_not_closed(run: Run, account: Account, system: str) -> None:
    """The request was not staged because the resource used this secret when it was checked."""
    access = Onboarding(run, account, system=system, takesEffectNow=False)
    access.check_request()
    for step in (access.create_key, access.create_secret, access.attach_policies):
        step()
    access.checked |= {"hasResource": True}

    with pytest.raises(Conflict):
        access.configure_access()


def staged(run: Run, account: Account, system: str = "mediapackage") -> Onboarding:
    return Onboarding(run, account, system=system, takesEffectNow=False).run_through("record_access")


def confirmation(system: str, **members: Any) -> dict[str, Any]:
    request = onboarding(system, takesEffectNow=False, requestId="confirm-1")
    return check_event(request, confirms=True, executionArn=f"{EXECUTION}-confirm-1", contentHash="d" * 64, **members)


@pytest.mark.parametrize("system", STAGED)
def test_a_confirmation_configures_a_staged_resource(run: Run, account: Account, system: str) -> None:
    access = staged(run, account, system)

    checked = run("check_request", confirmation(system))

    assert (checked["confirms"], checked["hasResource"], checked["checksFirst"]) == (True, True, True)
    step = {"request": onboarding(system, takesEffectNow=False, requestId="confirm-1"), "confirms": True}
    step |= {"key": {"arn": checked["keyArn"], "changed": False}, "secretArn": checked["secretArn"]}
    assert run("configure_access", step)["changed"] is True
    assert run("configure_access", step)["changed"] is False
    assert checked["secretArn"] == access.secret


def test_a_confirmation_applies_the_rules_for_the_resource_again(run: Run, account: Account) -> None:
    staged(run, account)
    account.mediapackage.resources["live-hls"]["Tags"] = {}

    assert set(rejection(run, "check_request", confirmation("mediapackage"))) == {"resource"}


def test_a_confirmation_does_not_replace_what_was_configured_since(run: Run, account: Account) -> None:
    staged(run, account)
    theirs = {"CdnIdentifierSecret": account.secret("theirs", "{}"), "SecretsRoleArn": ROLE}
    account.mediapackage.resources["live-hls"]["Authorization"] = theirs

    assert set(rejection(run, "check_request", confirmation("mediapackage"))) == {"secret.replacesToken"}


def test_a_confirmation_of_a_deleted_resource_is_rejected(run: Run, account: Account) -> None:
    staged(run, account)
    account.mediapackage.resources.clear()

    assert set(rejection(run, "check_request", confirmation("mediapackage"))) == {"resource"}


@pytest.mark.parametrize("is_removed", [True, False])
def test_the_rollback_of_a_confirmation_restores_the_resource(run: Run, account: Account, is_removed: bool) -> None:
    """The record of the staged access names the same secret, and does not mean that a later request has configured it."""
    access = staged(run, account)
    checked = run("check_request", confirmation("mediapackage"))
    request = onboarding("mediapackage", takesEffectNow=False, requestId="confirm-1")
    step = {"request": request, "key": {"arn": checked["keyArn"], "changed": False}, "secretArn": checked["secretArn"]}
    run("configure_access", step | {"confirms": True})
    account.mediapackage.kept = MediaPackage.kept | (set() if is_removed else {"Authorization"})

    undone = run("undo_onboarding", {"request": request, "executionArn": f"{EXECUTION}-confirm-1", "confirms": True})

    assert bool(undone["left"]) is not is_removed
    assert ("Authorization" in account.mediapackage.resources["live-hls"]) is not is_removed
    # The staged access stays as it was, with its secret and role.
    assert account.secretsmanager.describe_secret(SecretId=access.secret).get("DeletedDate") is None
    assert account.iam.get_role(RoleName=role_name_of("mediapackage"))
    record = registry().accesses.get(checked["accessId"])
    assert record
    assert (record.status, record.reached) == ("handed-off", "handed-off")


def test_a_public_endpoint_is_confirmed_only_after_its_owner_has_removed_the_statement(run: Run, account: Account) -> None:
    arn = account.mediapackagev2.endpoints["sports/one/hls"]["Arn"]
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "mediapackagev2:GetObject", "Resource": arn, "Sid": "Everybody"}
    policy = {"Version": "2012-10-17", "Statement": [everybody]}
    account.mediapackagev2.add("sports/one/hls", Policy=json.dumps(policy))
    access = Onboarding(run, account, system="mediapackagev2")
    access.run_through("configure_access")
    access.checked |= {"hasResource": False}
    access.record_access()
    event = check_event(
        onboarding("mediapackagev2", requestId="confirm-1"),
        confirms=True,
        executionArn=f"{EXECUTION}-confirm-1",
        contentHash="d" * 64,
    )

    assert set(rejection(run, "check_request", event)) == {"resource"}

    held = account.mediapackagev2.policies["sports/one/hls"]
    statements = json.loads(held["Policy"])["Statement"]
    assert everybody in statements
    held["Policy"] = json.dumps(policy | {"Statement": [one for one in statements if one != everybody]})
    checked = run("check_request", event | {"requestId": "confirm-2", "executionArn": f"{EXECUTION}-confirm-1"})
    assert (checked["hasResource"], checked["staged"]) == (True, False)


def test_the_rehearsal_of_the_record_changes_no_record(run: Run, account: Account) -> None:
    access = Onboarding(run, account, system="mediapackage").run_through("configure_access")
    event = {"request": access.request, "resources": {"keyArn": access.key, "secretArn": access.secret}, "status": "active"}

    run("record_access", event | {"rehearses": True})

    assert registry().accesses.get(access.checked["accessId"]) is None
    assert run("record_access", event)["version"] == 1
    run("record_access", event | {"rehearses": True})
    found = registry().accesses.get(access.checked["accessId"])
    assert found
    assert found.version == 1


def test_the_rehearsal_fails_if_the_record_cannot_be_written(run: Run, account: Account) -> None:
    access = Onboarding(run, account, system="mediapackage").run_through("configure_access")
    event = {"request": access.request, "resources": {"keyArn": access.key, "secretArn": access.secret}, "status": "active"}
    at_call("dynamodb", "UpdateItem", answer_with_error("UpdateItem"))

    with pytest.raises(AccessDenied):
        run("record_access", event | {"rehearses": True})


# ---------------------------------------------------------------- what authenticates in another way


@pytest.mark.parametrize("way", ["generated", "imported", "adopted"])
def test_speke_is_replaced_only_if_the_request_asks_for_it(run: Run, account: Account, way: str) -> None:
    account.mediaconnect.flows.clear()
    account.mediaconnect.add("entitlement", "affiliate", None, Encryption=SPEKE)
    resource = {"output": None, "entitlement": "affiliate", "algorithm": "aes128"}
    secret = _brings(account, way)

    assert rejected_paths(run, system="mediaconnect", resource=resource, secret=secret, takesEffectNow=False) == {
        "secret.replacesToken"
    }
    asked = secret | {"replacesToken": True}
    assert plan(run, "mediaconnect", resource=resource, secret=asked, takesEffectNow=False) == NOW


@pytest.mark.parametrize("way", ["generated", "imported", "adopted"])
@pytest.mark.parametrize("system", ["mediapackage", "mediapackage-vod", "mediaconnect"])
def test_the_secret_of_another_cdn_is_replaced_only_if_the_request_asks_for_it(
    run: Run, account: Account, system: str, way: str
) -> None:
    present = account.secret("MediaPackage/present", "{}")
    authorization = {"Authorization": {"CdnIdentifierSecret": present, "SecretsRoleArn": ROLE}}
    account.mediapackage.add("live-hls", ENDPOINT, **authorization)
    account.mediapackage_vod.add("films", ENDPOINT, **authorization)
    [output] = account.mediaconnect.flows[FLOW]["Outputs"]
    output["Encryption"] = {"KeyType": "static-key", "Algorithm": "aes256", "SecretArn": present, "RoleArn": ROLE}
    secret = _brings(account, way)

    assert rejected_paths(run, system=system, secret=secret, takesEffectNow=False) == {"secret.replacesToken"}
    assert plan(run, system, secret=secret | {"replacesToken": True}, takesEffectNow=False) == NOW


def test_an_endpoint_with_several_secrets_is_changed_only_if_the_request_replaces_them(run: Run, account: Account) -> None:
    secrets = [account.secret(f"MediaPackage/{name}", "{}") for name in ("one", "two")]
    authorization = {"CdnIdentifierSecretArns": secrets, "SecretsRoleArn": ROLE}
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    account.mediapackagev2.add("sports/one/hls", Policy=policy, CdnAuthConfiguration=authorization)

    assert rejected_paths(run, system="mediapackagev2") == {"secret.replacesToken"}
    # Adopting one of them would remove the other.
    account.secretsmanager.tag_resource(SecretId=secrets[0], Tags=[{"Key": "latchkey:consent", "Value": "adopt"}])
    assert rejected_paths(run, system="mediapackagev2", secret=existing(secrets[0])) == {"secret.replacesToken"}


def test_an_endpoint_keeps_the_secrets_that_the_request_names(run: Run, account: Account) -> None:
    secrets = [account.secret(f"MediaPackage/{name}", "{}") for name in ("one", "two")]
    authorization = {"CdnIdentifierSecretArns": secrets, "SecretsRoleArn": ROLE}
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    account.mediapackagev2.add("sports/one/hls", Policy=policy, CdnAuthConfiguration=authorization)

    access = Onboarding(run, account, system="mediapackagev2", resource={"otherSecrets": secrets})
    access.run_through("record_access")

    held = account.mediapackagev2.policies["sports/one/hls"]["CdnAuthConfiguration"]
    assert sorted(held["CdnIdentifierSecretArns"]) == sorted([access.secret, *secrets])
    reader = json.dumps(account.role_state(role_name_of("mediapackagev2")))
    assert all(secret in reader for secret in secrets)
    assert rejected_paths(run, system="mediapackagev2", resource={"otherSecrets": secrets[:1]}, requestId="request-2") == {
        "secret.replacesToken"
    }


def test_other_secrets_are_those_that_the_role_can_read_and_the_endpoint_accepts(run: Run, account: Account) -> None:
    theirs = account.secret("MediaPackage/token", "{}")

    assert rejected_paths(run, system="mediapackagev2", resource={"otherSecrets": [theirs]}) == {"resource.otherSecrets.0"}


def test_a_secret_that_aws_denies_to_read_is_rejected(run: Run, account: Account) -> None:
    """The owner of the secret alone can change that, so the request does not fail on its way."""
    other = account.secret("MediaPackage/other", "{}")
    authorization = {"CdnIdentifierSecretArns": [other], "SecretsRoleArn": ROLE}
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    account.mediapackagev2.add("sports/one/hls", Policy=policy, CdnAuthConfiguration=authorization)
    refuse_calls("secretsmanager", "DescribeSecret", other, code="AccessDeniedException", status=400)

    assert rejected_paths(run, system="mediapackagev2", resource={"otherSecrets": [other]}) == {"resource.otherSecrets.0"}


def test_other_secrets_of_an_endpoint_that_its_owner_configures_are_set_by_the_owner(run: Run, account: Account) -> None:
    theirs = account.secret("MediaPackage/token", "{}")
    request = onboarding("mediapackagev2", resource={"otherSecrets": [theirs], "configure": False})

    with pytest.raises(InvalidRequest):
        parse_onboarding(request)


def _brings(account: Account, way: str) -> dict[str, Any]:
    if way == "generated":
        return {}
    theirs = account.secret("MediaPackage/token", "{}", ADOPT if way == "adopted" else IMPORT)
    return existing(theirs) if way == "adopted" else copied(theirs)


@pytest.mark.parametrize(
    ("base_url", "warned"),
    [
        ("https://assets.s3.us-east-1.amazonaws.com/vod", True),
        ("https://assets.s3.amazonaws.com/vod", True),
        ("https://s3-us-west-2.amazonaws.com/assets", True),
        ("https://assets.s3.dualstack.eu-west-1.amazonaws.com/vod", True),
        ("https://assets.s3.cn-north-1.amazonaws.com.cn/vod", True),
        ("https://point-123456789012.s3-accesspoint.us-east-1.amazonaws.com", True),
        ("https://origin.example.com/s3.amazonaws.com", False),
        ("https://abc.mediapackage.us-east-1.amazonaws.com/out/v1", False),
        ("https://cdns3.example.com/vod", False),
    ],
)
def test_a_base_url_of_s3_is_warned_of(
    run: Run, account: Account, stack: Callable[..., None], base_url: str, warned: bool
) -> None:
    access = Onboarding(run, account, resource={"baseUrl": base_url}).run_through("configure_access")
    account.grant(access.key, "MediaTailor-SourceLocation-123456789012-sports-origin", access.secret)

    event = {"request": access.request, "keyArn": access.key, "secretArn": access.secret}
    warnings = run("validate_access", event)["warnings"]

    assert [warning["place"] for warning in warnings] == (["resource.baseUrl"] if warned else [])
