"""configure_access: resources of MediaPackage and MediaConnect read the secret with the role and keep their other settings."""

import copy
import json
from typing import Any

import pytest

from latchkey.errors import Conflict, LatchkeyError, NotYetEffective, TransientAwsError
from latchkey.policies.reader_roles import POLICY_NAME
from tests.functions.account import ACCOUNT, ADOPT, OURS, REGION, Account, client
from tests.functions.fault_injection import age_roles, answer_with_error, at_call
from tests.functions.media_services import FLOW
from tests.functions.onboarding_requests import Run, onboarding, role_name_of
from tests.functions.onboarding_steps import Onboarding

V2 = "sports/one/hls"
V2_ARN = f"arn:aws:mediapackagev2:{REGION}:{ACCOUNT}:channelGroup/sports/channel/one/originEndpoint/hls"
TAGS = ADOPT | {"owner": "other-team"}
ENDPOINT = f"arn:aws:mediapackage:{REGION}:{ACCOUNT}:origin_endpoints/1"
SRT = {"algorithm": None, "keyType": "srt-password"}
# Every setting of an origin endpoint that an update accepts.
SETTINGS: dict[str, Any] = {
    "CmafPackage": {"SegmentPrefix": "cmaf"},
    "DashPackage": {"ManifestWindowSeconds": 60},
    "Description": "the evening's match",
    "HlsPackage": {"PlaylistWindowSeconds": 60, "UseAudioRenditionGroup": True},
    "ManifestName": "index",
    "MssPackage": {"SegmentDurationSeconds": 2},
    "Origination": "ALLOW",
    "StartoverWindowSeconds": 86400,
    "TimeDelaySeconds": 10,
    "Whitelist": ["198.51.100.0/24"],
}
NAMED = {
    "Sid": "Cdn",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/Cdn"},
    "Action": "mediapackagev2:GetObject",
    "Resource": V2_ARN,
}


def to_configure(account: Account, system: str, **members: Any) -> dict[str, Any]:
    """The input, after attach_policies has created the role."""
    key = account.key()
    secret = account.secret(f"latchkey/{system}/token", "{}", OURS, key=key)
    account.role(role_name_of(system, **members))
    return {"request": onboarding(system, **members), "key": {"arn": key, "changed": False}, "secretArn": secret}


def role_of(system: str, **members: Any) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{role_name_of(system, **members)}"


def configure_twice(run: Run, account: Account, event: dict[str, Any]) -> dict[str, Any]:
    """The result; a second run changes nothing."""
    first = run("configure_access", event)
    before = account.snapshot()
    assert run("configure_access", event) == first | {"changed": False}
    assert account.snapshot() == before
    assert first["changed"] is True
    return first


def test_an_origin_endpoint_keeps_its_other_settings(run: Run, account: Account) -> None:
    account.mediapackage.add("live-hls", ENDPOINT, ChannelId="one", Url="https://x", Tags=TAGS, **SETTINGS)
    event = to_configure(account, "mediapackage")

    assert configure_twice(run, account, event)["arn"] == ENDPOINT

    authorization = {"CdnIdentifierSecret": event["secretArn"], "SecretsRoleArn": role_of("mediapackage")}
    assert account.mediapackage.updates == [{"Id": "live-hls", "Authorization": authorization, **SETTINGS}]
    assert account.mediapackage.resources["live-hls"] == {
        "Id": "live-hls",
        "Arn": ENDPOINT,
        "ChannelId": "one",
        "Url": "https://x",
        "Tags": TAGS,
        "Authorization": authorization,
        **SETTINGS,
    }


def test_every_setting_that_an_update_accepts_is_kept() -> None:
    """An update can lose the settings that are members of its botocore model."""
    taken = client("mediapackage").meta.service_model.operation_model("UpdateOriginEndpoint").input_shape.members

    assert set(SETTINGS) == set(taken) - {"Id", "Authorization"}


def test_an_update_sends_no_settings_that_the_endpoint_does_not_have(run: Run, account: Account) -> None:
    account.mediapackage.add("live-hls", ENDPOINT)

    configure_twice(run, account, to_configure(account, "mediapackage"))

    assert [set(update) for update in account.mediapackage.updates] == [{"Id", "Authorization"}]


def test_an_update_of_a_packaging_group_sends_only_its_authorization(run: Run, account: Account) -> None:
    arn = f"arn:aws:mediapackage-vod:{REGION}:{ACCOUNT}:packaging-groups/films"
    account.mediapackage_vod.add("films", arn, EgressAccessLogs={"LogGroupName": "logs"})
    event = to_configure(account, "mediapackage-vod")

    assert configure_twice(run, account, event)["arn"] == arn

    authorization = {"CdnIdentifierSecret": event["secretArn"], "SecretsRoleArn": role_of("mediapackage-vod")}
    group = account.mediapackage_vod.resources["films"]
    assert (group["Authorization"], group["EgressAccessLogs"]) == (authorization, {"LogGroupName": "logs"})


@pytest.mark.parametrize("present", [[], [NAMED], [NAMED, NAMED | {"Sid": "Second"}, {**NAMED, "Effect": "Deny"}]])
def test_an_endpoint_policy_keeps_its_other_statements(run: Run, account: Account, present: list[dict[str, Any]]) -> None:
    policy = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": present})} if present else {}
    account.mediapackagev2.add(V2, **policy)
    event = to_configure(account, "mediapackagev2")

    assert configure_twice(run, account, event)["arn"] == V2_ARN

    held = account.mediapackagev2.policies[V2]
    [*kept, gate] = json.loads(held["Policy"])["Statement"]
    assert kept == present
    assert gate == {
        "Sid": "LatchkeyCdnAuthorization",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "mediapackagev2:GetObject",
        "Resource": V2_ARN,
        "Condition": {"Bool": {"mediapackagev2:RequestHasMatchingCdnAuthHeader": "true"}},
    }
    assert held["CdnAuthConfiguration"] == {
        "CdnIdentifierSecretArns": [event["secretArn"]],
        "SecretsRoleArn": role_of("mediapackagev2"),
    }


def test_a_removed_gate_statement_is_added_again(run: Run, account: Account) -> None:
    account.mediapackagev2.add(V2)
    event = to_configure(account, "mediapackagev2")
    run("configure_access", event)
    before = copy.deepcopy(account.mediapackagev2.policies)
    account.mediapackagev2.policies[V2]["Policy"] = json.dumps({"Version": "2012-10-17", "Statement": []})

    assert run("configure_access", event)["changed"] is True
    assert account.mediapackagev2.policies == before


@pytest.mark.parametrize(
    ("kind", "protocol", "member"),
    [("source", "zixi-push", "Decryption"), ("output", "zixi-pull", "Encryption"), ("entitlement", None, "Encryption")],
)
def test_an_update_of_a_flow_part_keeps_its_other_settings(
    run: Run, account: Account, kind: str, protocol: str | None, member: str
) -> None:
    arn = account.mediaconnect.add(kind, "studio", protocol, Description="as it was")
    [before] = copy.deepcopy(account.mediaconnect.flows[FLOW][f"{kind.capitalize()}s"])
    account.mediaconnect.add(kind, "another", protocol)
    resource = {"output": None, kind: "studio"}
    event = to_configure(account, "mediaconnect", resource=resource)

    assert configure_twice(run, account, event)["arn"] == arn

    role = role_of("mediaconnect", resource=resource)
    encryption = {"KeyType": "static-key", "Algorithm": "aes256", "SecretArn": event["secretArn"], "RoleArn": role}
    assert account.mediaconnect.flows[FLOW][f"{kind.capitalize()}s"][0] == before | {member: encryption}
    assert len(account.mediaconnect.updates) == 1


def test_a_flow_that_starts_before_the_update_of_its_entitled_source_is_a_conflict(run: Run, account: Account) -> None:
    account.mediaconnect.add("source", "studio", EntitlementArn="arn:aws:mediaconnect:us-east-1:444455556666:entitlement:1-a:b")
    event = to_configure(account, "mediaconnect", resource={"output": None, "source": "studio"})
    account.mediaconnect.flows[FLOW]["Status"] = "ACTIVE"

    with pytest.raises(Conflict):
        run("configure_access", event)

    account.mediaconnect.flows[FLOW]["Status"] = "STANDBY"
    assert run("configure_access", event)["changed"] is True
    account.mediaconnect.flows[FLOW]["Status"] = "ACTIVE"
    assert run("configure_access", event)["changed"] is False


def test_an_srt_password_has_no_algorithm(run: Run, account: Account) -> None:
    account.mediaconnect.add("output", "studio", "srt-listener")

    configure_twice(run, account, to_configure(account, "mediaconnect", resource=SRT))

    [update] = account.mediaconnect.updates
    assert (update["Encryption"]["KeyType"], "Algorithm" in update["Encryption"]) == ("srt-password", False)


@pytest.mark.parametrize(
    ("service", "operation", "system", "code", "status"),
    [
        ("mediapackage", "UpdateOriginEndpoint", "mediapackage", "UnprocessableEntityException", 422),
        ("mediapackage-vod", "UpdatePackagingGroup", "mediapackage-vod", "UnprocessableEntityException", 422),
        ("mediapackagev2", "PutOriginEndpointPolicy", "mediapackagev2", "ValidationException", 400),
        ("mediaconnect", "UpdateFlowOutput", "mediaconnect", "BadRequestException", 400),
        ("mediaconnect", "UpdateFlowOutput", "mediaconnect", "ForbiddenException", 403),
    ],
)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_new_role_that_the_service_cannot_use_is_not_yet_effective(
    run: Run, account: Account, service: str, operation: str, system: str, code: str, status: int, is_new: bool
) -> None:
    account.add_resources()
    event = to_configure(account, system)
    if not is_new:
        age_roles()
    at_call(service, operation, answer_with_error(operation, code, status))

    with pytest.raises(LatchkeyError) as caught:
        run("configure_access", event)

    assert (type(caught.value) is NotYetEffective) is is_new
    assert run("configure_access", event)["changed"] is True


def test_an_old_role_with_a_new_policy_is_not_yet_effective(run: Run, account: Account) -> None:
    account.add_resources()
    access = Onboarding(run, account, system="mediapackage").run_through("attach_policies")
    account.iam.delete_role_policy(RoleName=role_name_of("mediapackage"), PolicyName=POLICY_NAME)
    age_roles()
    access.attach_policies()
    at_call(
        "mediapackage", "UpdateOriginEndpoint", answer_with_error("UpdateOriginEndpoint", "UnprocessableEntityException", 422)
    )

    with pytest.raises(NotYetEffective):
        access.configure_access()


@pytest.mark.parametrize("system", ["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"])
def test_a_resource_that_was_deleted_in_the_meantime_is_a_conflict(run: Run, account: Account, system: str) -> None:
    event = to_configure(account, system)

    with pytest.raises(Conflict):
        run("configure_access", event)


@pytest.mark.parametrize("operation", ["DescribeFlow", "UpdateFlowOutput"], ids=["decision", "throttled update"])
def test_consent_that_is_withdrawn_before_the_update_of_a_flow_is_seen(
    run: Run, account: Account, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """The part of a flow has no tags that consent, and IAM has no condition for them: the tags of the flow are read last."""
    monkeypatch.setattr("latchkey.onboarding.configure_access.time.sleep", lambda _: None)
    account.mediaconnect.add("output", "studio", "zixi-pull")
    event = to_configure(account, "mediaconnect")

    def withdraw() -> None:
        account.mediaconnect.tags[FLOW] = {}
        if operation == "UpdateFlowOutput":
            answer_with_error(operation, "TooManyRequestsException", 429)()

    at_call("mediaconnect", operation, withdraw, number=2 if operation == "DescribeFlow" else 1)

    with pytest.raises(TransientAwsError):
        run("configure_access", event)
    with pytest.raises(Conflict, match="add the tag latchkey:consent=adopt"):
        run("configure_access", event)
    assert account.mediaconnect.updates == []
