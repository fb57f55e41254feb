"""Every system that reads through a role: one outcome, one role per secret, and all other settings unchanged."""

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.sampling import each_value, some
from tests.workflow.consumer_resources import CONSUMERS, NOTHING_LEFT, ConsumerResource, fetch, left
from tests.workflow.fault_injection import Detail
from tests.workflow.onboarding import Onboarding

FORMS: dict[str, Callable[[str], bool]] = {
    "mediaconnect-srt": lambda token: len(token) == 40 and not token.isalnum(),
    "mediaconnect": lambda token: len(token) == 64 and int(token, 16) >= 0,
    "mediapackage": lambda token: token.count("-") == 4 and len(token) == 36,
}
DELAYS = {"mediapackage": 600, "mediapackage-vod": 600, "mediapackagev2": 300}


@pytest.fixture(params=CONSUMERS)
def consumer(aws: Embedded, request: pytest.FixtureRequest) -> ConsumerResource:
    """A resource of each system or, in tests with a parameter `consumer`, of the systems that it names."""
    return CONSUMERS[request.param](aws)


def _calls(aws: Embedded) -> list[tuple[str, str, str]]:
    return [(call["principal"], call["service"], call["operation"]) for call in aws.control("GET", "calls")]


def _without(settings: Detail, *members: str) -> Detail:
    return {name: value for name, value in settings.items() if name not in members}


def test_service_reads_one_secret_through_one_role(onboarding: Onboarding, consumer: ConsumerResource) -> None:
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
    # Only the authorization changes and, in v2, the policy, which keeps foreign statements.
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed <= {"Authorization", "CdnAuthConfiguration", "Decryption", "Encryption", "Policy"}
    assert [s for s in before.get("Policy", {}).get("Statement", []) if s not in after["Policy"]["Statement"]] == []


def test_token_has_the_format_of_its_system_and_is_accepted(onboarding: Onboarding, consumer: ConsumerResource) -> None:
    made = onboarding.onboard(consumer.detail)["resources"]
    token = consumer.token(onboarding.secretsmanager.get_secret_value(SecretId=made["secretArn"])["SecretString"])

    form = "mediaconnect-srt" if consumer.resource.get("keyType") == "srt-password" else consumer.system
    assert next(holds for name, holds in FORMS.items() if form.startswith(name))(token)
    if consumer.url():
        assert fetch(consumer.url(), consumer.header, token) == 200
        assert fetch(consumer.url(), consumer.header, "wrong") == fetch(consumer.url()) == 403


@pytest.mark.parametrize(("consumer", "sent"), each_value(CONSUMERS, [True, False]), indirect=["consumer"])
def test_a_service_reads_whether_or_not_it_sends_its_account(
    onboarding: Onboarding, assume: Callable[..., Any], consumer: ConsumerResource, sent: bool
) -> None:
    # MediaConnect is documented to send it, so its roles require it.
    assume(sourceAccountSent={consumer.system: sent or consumer.system == "mediaconnect"})

    made = onboarding.onboard(consumer.detail)["resources"]

    token = consumer.token(onboarding.secretsmanager.get_secret_value(SecretId=made["secretArn"])["SecretString"])
    assert consumer.reads(consumer.settings()) == (made["secretArn"], made["roleArn"])
    assert not consumer.url() or fetch(consumer.url(), consumer.header, token) == 200


@pytest.mark.parametrize("consumer", some(CONSUMERS, 2, begin=1), indirect=True)
def test_repeated_request_changes_nothing(onboarding: Onboarding, consumer: ConsumerResource) -> None:
    onboarding.onboard(consumer.detail)
    before, all_before = consumer.settings(), onboarding.account_snapshot()

    outcome = onboarding.onboard(consumer.detail)

    assert (outcome["status"], outcome["changed"]) == ("unchanged", False)
    assert (consumer.settings(), onboarding.account_snapshot()) == (before, all_before)


@pytest.mark.parametrize("consumer", some(CONSUMERS, 2), indirect=True)
def test_reader_role_can_only_read_its_secret(onboarding: Onboarding, consumer: ConsumerResource) -> None:
    made = onboarding.onboard(consumer.detail)["resources"]
    iam, name = onboarding.aws.client("iam"), made["roleArn"].rpartition("/")[2]
    role = iam.get_role(RoleName=name)["Role"]

    [statement] = role["AssumeRolePolicyDocument"]["Statement"]
    operator = "StringEquals" if consumer.system == "mediaconnect" else "StringEqualsIfExists"
    assert statement["Condition"] == {operator: {"aws:SourceAccount": ACCOUNT}}
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


def test_request_with_a_widened_reader_role_is_rejected(onboarding: Onboarding, aws: Embedded) -> None:
    consumer = CONSUMERS["mediapackage"](aws)
    made = onboarding.onboard(consumer.detail)["resources"]
    wide = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
    aws.client("iam").put_role_policy(RoleName=made["roleArn"].rpartition("/")[2], PolicyName="Wide", PolicyDocument=wide)

    assert onboarding.rejected_paths(consumer.detail) == {"resource"}
    assert consumer.reads(consumer.settings()) == (made["secretArn"], made["roleArn"])


@pytest.mark.parametrize("consumer", some(CONSUMERS, 4, begin=2), indirect=True)
def test_three_concurrent_requests_create_one_role_and_one_secret(onboarding: Onboarding, consumer: ConsumerResource) -> None:
    details = [consumer.detail for _ in range(3)]
    for detail in details:
        onboarding.put(detail)
    outcomes = [onboarding.outcomes.wait_for(detail["requestId"], 60)["detail"] for detail in details]

    assert sorted(outcome["status"] for outcome in outcomes) == ["active", "unchanged", "unchanged"]
    assert len({json.dumps(outcome["resources"]) for outcome in outcomes}) == 1


def test_two_resources_share_a_secret_through_separate_roles(onboarding: Onboarding, aws: Embedded) -> None:
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
def test_resource_without_consent_is_not_changed(onboarding: Onboarding, aws: Embedded, name: str) -> None:
    consumer = CONSUMERS[name](aws, {})
    before = consumer.settings()

    rules = onboarding.reject(consumer.detail)

    assert "arn:aws:media" in rules["resource"]
    assert consumer.settings() == before


def test_source_key_is_imported_from_another_region(onboarding: Onboarding, aws: Embedded) -> None:
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


REFUSED: dict[str, tuple[str, Callable[[Onboarding], Detail], str]] = {
    "hex key of 128 bits for 256": ("mediaconnect-source", _existing("0" * 32), "secret.value.existing"),
    "hex key that is none": ("mediaconnect-output", _existing("g" * 64), "secret.value.existing"),
    "hex key in JSON": ("mediaconnect-output", _copied(json.dumps({"key": "0" * 64})), "secret.value.copyFrom"),
    "password with a line break": ("mediaconnect-srt", _copied("password1234\n"), "secret.value.copyFrom"),
    "two pairs in a v2 secret": (
        "mediapackagev2",
        _existing(json.dumps({"MediaPackageV2CDNIdentifier": "0123456789", "MediaPackageCDNIdentifier": "0123456789"})),
        "secret.value.existing",
    ),
    "the key name of v1 in a v2 secret": (
        "mediapackagev2",
        _existing(json.dumps({"MediaPackageCDNIdentifier": "0123456789"})),
        "secret.value.existing",
    ),
    "129 characters": (
        "mediapackage",
        _existing(json.dumps({"MediaPackageCDNIdentifier": "x" * 129})),
        "secret.value.existing",
    ),
    "secret of another Region": (
        "mediapackage",
        lambda onboarding: {"secret": {"value": {"existing": {"secretArn": onboarding.new_secret("{}", region="eu-west-1")}}}},
        "secret.value.existing.secretArn",
    ),
    "endpoint that does not exist": ("mediapackage", _resource(originEndpoint="none"), "resource"),
    "flow of another account": (
        "mediaconnect-source",
        _resource(flowArn="arn:aws:mediaconnect:us-east-1:111122223333:flow:1-abc:theirs", source="camera", algorithm="aes128"),
        "resource.flowArn",
    ),
}


@pytest.mark.parametrize(("kind", "changes", "place"), REFUSED.values(), ids=REFUSED)
def test_unsuitable_secret_or_resource_is_rejected_and_changes_nothing(
    onboarding: Onboarding, aws: Embedded, kind: str, changes: Callable[[Onboarding], Detail], place: str
) -> None:
    consumer = CONSUMERS[kind](aws)
    detail = consumer.detail | changes(onboarding)
    before, all_before = consumer.settings(), onboarding.account_snapshot()

    assert place in onboarding.rejected_paths(detail)
    assert (consumer.settings(), onboarding.account_snapshot()) == (before, all_before)


# A permanent failure in each step that changes something, after the earlier steps succeeded.
FAILING = {
    "role": {"service": "iam", "operation": "PutRolePolicy"},
    "configure": {"service": "", "operation": ""},
    "validate": {"service": "iam", "operation": "SimulatePrincipalPolicy"},
}


@pytest.mark.parametrize(("kind", "step"), each_value(CONSUMERS, FAILING))
def test_failed_step_is_rolled_back_completely(fast_onboarding: Onboarding, fast_aws: Embedded, kind: str, step: str) -> None:
    consumer = CONSUMERS[kind](fast_aws)
    before, fault = consumer.settings(), FAILING[step]
    if step == "configure":
        fault = {"service": consumer.system, "operation": consumer.operation}
    fast_aws.control("PUT", "assumptions", {"omittedOnPut": "clear", "omittedOnFlowUpdate": "clear"})

    result = _fail(fast_onboarding, consumer, fault)

    assert result["changed"] is False
    assert consumer.settings() == before
    assert left(fast_onboarding, consumer) == NOTHING_LEFT
    assert fast_onboarding.onboard(consumer.detail)["status"] == "active"
    assert left(fast_onboarding, consumer) == {"role": True, "secret": True, "key": True}


@pytest.mark.parametrize("kind", ["mediapackage", "mediapackage-vod", "mediaconnect-output"])
def test_setting_that_no_update_can_remove_is_reported_and_keeps_working(
    fast_onboarding: Onboarding, fast_aws: Embedded, kind: str
) -> None:
    consumer = CONSUMERS[kind](fast_aws)
    fast_aws.control("PUT", "assumptions", {"omittedOnPut": "keep"})
    # The second validation: the first one comes before the configuration. Each simulates the actions on secret and key.
    result = _fail(fast_onboarding, consumer, FAILING["validate"], call=3)

    assert result["changed"] is True
    secret, role = consumer.reads(consumer.settings())
    assert secret is not None
    assert role is not None


def _fail(onboarding: Onboarding, consumer: ConsumerResource, fault: Detail, call: int = 1) -> Detail:
    """Sends a request with a permanent fault and returns the detail of its outcome."""
    detail = consumer.detail
    striking = {"error": "SomethingInvalid", "caller": "latchkey-(?!Undo)", "call": call, "request": detail["requestId"]}
    onboarding.aws.control("POST", "faults", fault | striking)
    event = onboarding.send(detail)
    onboarding.aws.control("DELETE", "faults")
    assert event["detail-type"] == "Request Failed", event
    result: Detail = event["detail"]
    return result
