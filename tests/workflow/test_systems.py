"""Every system that reads through a role, whole: one outcome, one role for one secret, and all other settings kept."""

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.workflow.conftest import Onboarding
from tests.workflow.consumers import CONSUMERS, NOTHING_LEFT, Consumer, fetch, left
from tests.workflow.striking import Detail

FORMS: dict[str, Callable[[str], bool]] = {
    "mediaconnect-srt": lambda token: len(token) == 40 and not token.isalnum(),
    "mediaconnect": lambda token: len(token) == 64 and int(token, 16) >= 0,
    "mediapackage": lambda token: token.count("-") == 4 and len(token) == 36,
}
DELAYS = {"mediapackage": 600, "mediapackage-vod": 600, "mediapackagev2": 300}


@pytest.fixture(params=CONSUMERS)
def consumer(aws: Embedded, request: pytest.FixtureRequest) -> Consumer:
    return CONSUMERS[request.param](aws)


def _calls(aws: Embedded) -> list[tuple[str, str, str]]:
    return [(call["principal"], call["service"], call["operation"]) for call in aws.control("GET", "calls")]


def _without(settings: Detail, *members: str) -> Detail:
    return {name: value for name, value in settings.items() if name not in members}


def test_a_service_reads_one_secret_through_one_role(onboarding: Onboarding, consumer: Consumer) -> None:
    before = consumer.settings()
    onboarding.aws.control("DELETE", "calls")
    outcome = onboarding.onboard(consumer.detail)
    calls = _calls(onboarding.aws)

    made, after = outcome["resources"], consumer.settings()
    assert consumer.reads(after) == (made["secretArn"], made["roleArn"])
    assert outcome.get("effectDelaySeconds") == DELAYS.get(consumer.system)
    role = made["roleArn"].rpartition("/")[2]
    assert (f"{consumer.service}.amazonaws.com", "sts", "AssumeRole") in calls
    assert {operation for principal, _, operation in calls if f"/{role}/" in principal} & {
        "GetSecretValue",
        "BatchGetSecretValue",
    }
    # What changed is the authorization, and in v2 a policy that keeps the statement of others.
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed <= {"Authorization", "CdnAuthConfiguration", "Decryption", "Encryption", "Policy"}
    assert [s for s in before.get("Policy", {}).get("Statement", []) if s not in after["Policy"]["Statement"]] == []


def test_the_token_has_the_form_of_its_system_and_opens(onboarding: Onboarding, consumer: Consumer) -> None:
    made = onboarding.onboard(consumer.detail)["resources"]
    token = consumer.token(onboarding.secretsmanager.get_secret_value(SecretId=made["secretArn"])["SecretString"])

    form = "mediaconnect-srt" if consumer.resource.get("keyType") == "srt-password" else consumer.system
    assert next(holds for name, holds in FORMS.items() if form.startswith(name))(token)
    if consumer.url():
        assert fetch(consumer.url(), consumer.header, token) == 200
        assert fetch(consumer.url(), consumer.header, "wrong") == fetch(consumer.url()) == 403


def test_the_same_request_again_changes_nothing(onboarding: Onboarding, consumer: Consumer) -> None:
    onboarding.onboard(consumer.detail)
    before, all_before = consumer.settings(), onboarding.everything()

    outcome = onboarding.onboard(consumer.detail)

    assert (outcome["status"], outcome["changed"]) == ("unchanged", False)
    assert (consumer.settings(), onboarding.everything()) == (before, all_before)


def test_a_role_may_do_no_more_than_read_its_secret(onboarding: Onboarding, consumer: Consumer) -> None:
    made = onboarding.onboard(consumer.detail)["resources"]
    iam, name = onboarding.aws.client("iam"), made["roleArn"].rpartition("/")[2]
    role = iam.get_role(RoleName=name)["Role"]

    [statement] = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert "ReaderBoundary" in role["PermissionsBoundary"]["PermissionsBoundaryArn"]
    assert role["Path"] == "/"
    assert role["RoleName"] != "MediaConnectAccessRole"
    [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
    named = {
        arn
        for statement in iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]["Statement"]
        for arn in [statement["Resource"]]
    }
    assert named <= {made["secretArn"], made["keyArn"], "*"}
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []


def test_a_person_who_widens_the_role_is_told(onboarding: Onboarding, aws: Embedded) -> None:
    consumer = CONSUMERS["mediapackage"](aws)
    made = onboarding.onboard(consumer.detail)["resources"]
    wide = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
    aws.client("iam").put_role_policy(RoleName=made["roleArn"].rpartition("/")[2], PolicyName="Wide", PolicyDocument=wide)

    failed = onboarding.send(consumer.detail)

    assert failed["detail-type"] == "Request Failed"
    assert "role reads this secret and nothing else" in failed["detail"]["failure"]["message"]
    assert consumer.reads(consumer.settings()) == (made["secretArn"], made["roleArn"])


def test_three_requests_at_once_make_one_role_and_one_secret(onboarding: Onboarding, consumer: Consumer) -> None:
    details = [consumer.detail for _ in range(3)]
    for detail in details:
        onboarding.put(detail)
    outcomes = [onboarding.outcomes.wait_for(detail["requestId"], 60)["detail"] for detail in details]

    assert sorted(outcome["status"] for outcome in outcomes) == ["active", "unchanged", "unchanged"]
    assert len({json.dumps(outcome["resources"]) for outcome in outcomes}) == 1


def test_two_resources_share_a_secret_through_roles_of_their_own(onboarding: Onboarding, aws: Embedded) -> None:
    one, other = CONSUMERS["mediapackage"](aws), CONSUMERS["mediapackage-vod"](aws)
    made = onboarding.onboard(one.detail)["resources"]
    onboarding.secretsmanager.tag_resource(SecretId=made["secretArn"], Tags=[{"Key": "latchkey:consent", "Value": "adopt"}])
    shared = {"key": {"alias": one.detail["key"]["alias"]}, "secret": {"value": {"existing": {"secretArn": made["secretArn"]}}}}
    both = onboarding.onboard(other.detail | shared)["resources"]

    assert both["secretArn"] == made["secretArn"]
    assert both["keyArn"] == made["keyArn"]
    assert both["roleArn"] != made["roleArn"]
    token = one.token(onboarding.secretsmanager.get_secret_value(SecretId=made["secretArn"])["SecretString"])
    assert [fetch(consumer.url(), consumer.header, token) for consumer in (one, other)] == [200, 200]


@pytest.mark.parametrize("name", ["mediapackagev2", "mediaconnect-output"])
def test_a_resource_whose_owner_has_not_consented_stays_as_it_is(onboarding: Onboarding, aws: Embedded, name: str) -> None:
    consumer = CONSUMERS[name](aws, {})
    before = consumer.settings()

    rules = onboarding.reject(consumer.detail)

    assert "latchkey:consent=adopt to arn:aws:media" in rules["resource"]
    assert consumer.settings() == before


def test_the_key_of_a_source_is_imported_into_each_region_from_one_original(onboarding: Onboarding, aws: Embedded) -> None:
    value = secrets.token_hex(32)
    original = onboarding.new_secret(value, consent="import", region="eu-west-1")
    consumer = CONSUMERS["mediaconnect-source"](aws)
    imported = {"secret": {"value": {"copyFrom": {"secretArn": original}}}}

    made = onboarding.onboard(consumer.detail | imported)["resources"]

    assert onboarding.secretsmanager.get_secret_value(SecretId=made["secretArn"])["SecretString"] == value


def _existing(value: str) -> Callable[[Onboarding], Detail]:
    return lambda onboarding: {"secret": {"value": {"existing": {"secretArn": onboarding.new_secret(value)}}}}


def _copied(value: str, **where: Any) -> Callable[[Onboarding], Detail]:
    return lambda onboarding: {
        "secret": {"value": {"copyFrom": {"secretArn": onboarding.new_secret(value, "import", **where)}}}
    }


def _resource(**members: Any) -> Callable[[Onboarding], Detail]:
    return lambda _: {"resource": members}


REFUSED: dict[str, tuple[str, Callable[[Onboarding], Detail], str, str]] = {
    "hex key of 128 bits for 256": ("mediaconnect-source", _existing("0" * 32), "secret.value.existing", "must be 64"),
    "hex key that is none": ("mediaconnect-output", _existing("g" * 64), "secret.value.existing", "only hexadecimal digits"),
    "hex key in JSON": ("mediaconnect-output", _copied(json.dumps({"key": "0" * 64})), "secret.value.copyFrom", "must be 64"),
    "password of two classes": ("mediaconnect-srt", _copied("password1234"), "secret.value.copyFrom", "three of"),
    "two pairs in a v2 secret": (
        "mediapackagev2",
        _existing(json.dumps({"MediaPackageV2CDNIdentifier": "0123456789", "MediaPackageCDNIdentifier": "0123456789"})),
        "secret.value.existing",
        "and no other",
    ),
    "the key name of v1 in a v2 secret": (
        "mediapackagev2",
        _existing(json.dumps({"MediaPackageCDNIdentifier": "0123456789"})),
        "secret.value.existing",
        "MediaPackageV2CDNIdentifier",
    ),
    "129 characters": (
        "mediapackage",
        _existing(json.dumps({"MediaPackageCDNIdentifier": "x" * 129})),
        "secret.value.existing",
        "8 to 128",
    ),
    "secret of another Region": (
        "mediapackage",
        lambda onboarding: {"secret": {"value": {"existing": {"secretArn": onboarding.new_secret("{}", region="eu-west-1")}}}},
        "secret.value.existing.secretArn",
        "must be a secret of account",
    ),
    "endpoint that does not exist": ("mediapackage", _resource(originEndpoint="none"), "resource", "does not exist"),
    "flow of another account": (
        "mediaconnect-source",
        _resource(flowArn="arn:aws:mediaconnect:us-east-1:111122223333:flow:1-abc:theirs", source="camera", algorithm="aes128"),
        "resource.flowArn",
        f"must be the ARN of a flow in account {ACCOUNT}",
    ),
}


@pytest.mark.parametrize(("kind", "changes", "place", "rule"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_the_system_is_refused_whole(
    onboarding: Onboarding, aws: Embedded, kind: str, changes: Callable[[Onboarding], Detail], place: str, rule: str
) -> None:
    consumer = CONSUMERS[kind](aws)
    detail = consumer.detail | changes(onboarding)
    before, all_before = consumer.settings(), onboarding.everything()

    told = onboarding.reject(detail)

    assert rule in told[place]
    assert (consumer.settings(), onboarding.everything()) == (before, all_before)


def test_an_endpoint_that_admits_everyone_is_not_called_protected(onboarding: Onboarding, aws: Embedded) -> None:
    consumer = CONSUMERS["mediapackagev2"](aws)
    names = dict(zip(("ChannelGroupName", "ChannelName", "OriginEndpointName"), consumer.resource.values(), strict=True))
    policy = consumer.settings()["Policy"]
    everyone = policy["Statement"][0] | {"Sid": "Everyone", "Principal": "*"}
    aws.client("mediapackagev2").put_origin_endpoint_policy(**names, Policy=json.dumps(policy | {"Statement": [everyone]}))

    told = onboarding.reject(consumer.detail)

    assert told["resource"].endswith("Everyone")


# What fails for good in each step that makes something, once the steps before have made theirs.
FAILING = {
    "role": {"service": "iam", "operation": "PutRolePolicy"},
    "configure": {"service": "", "operation": ""},
    "validate": {"service": "iam", "operation": "SimulatePrincipalPolicy"},
}


@pytest.mark.parametrize("step", FAILING)
def test_a_step_that_fails_is_undone_whole(hurried_onboarding: Onboarding, hurried: Embedded, kind: str, step: str) -> None:
    consumer = CONSUMERS[kind](hurried)
    before, fault = consumer.settings(), FAILING[step]
    if step == "configure":
        fault = {"service": consumer.system, "operation": consumer.operation}
    hurried.control("PUT", "assumptions", {"omittedOnPut": "clear"})

    told = _fail(hurried_onboarding, consumer, fault)

    if step == "validate" and consumer.system == "mediaconnect":
        _stays(consumer, told)
        return
    assert told["changed"] is False
    assert consumer.settings() == before
    assert left(hurried_onboarding, consumer) == NOTHING_LEFT
    assert hurried_onboarding.onboard(consumer.detail)["status"] == "active"
    assert left(hurried_onboarding, consumer) == {"role": True, "secret": True, "key": True}


@pytest.mark.parametrize("kind", ["mediapackage", "mediapackage-vod"])
def test_what_no_update_takes_away_is_told_and_keeps_what_it_reads(
    hurried_onboarding: Onboarding, hurried: Embedded, kind: str
) -> None:
    consumer = CONSUMERS[kind](hurried)
    hurried.control("PUT", "assumptions", {"omittedOnPut": "keep"})
    _stays(consumer, _fail(hurried_onboarding, consumer, FAILING["validate"]))


def _fail(onboarding: Onboarding, consumer: Consumer, fault: Detail) -> Detail:
    """Sends a request that meets a fault for good; returns its outcome's detail."""
    detail = consumer.detail
    striking = {"error": "SomethingInvalid", "caller": "latchkey-(?!Undo)", "call": 1, "request": detail["requestId"]}
    onboarding.aws.control("POST", "faults", fault | striking)
    event = onboarding.send(detail)
    onboarding.aws.control("DELETE", "faults")
    assert event["detail-type"] == "Request Failed", event
    told: Detail = event["detail"]
    return told


def _stays(consumer: Consumer, told: Detail) -> None:
    """Some services have no call that takes a secret away from a resource: what that reads must stay then."""
    assert told["changed"] is True
    secret, role = consumer.reads(consumer.settings())
    assert secret is not None
    assert role is not None


@pytest.fixture(params=CONSUMERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)
