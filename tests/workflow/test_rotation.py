"""Rotations: no client with its current token is refused, and a rotation that fails changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from local_aws.tools.embedded_aws import until
from tests.sampling import each_value
from tests.workflow.consumer_resources import CONSUMERS, ConsumerResource, adobe_detail
from tests.workflow.onboarding import MEMBER, ORIGIN, Onboarding
from tests.workflow.rotations import Cdn, Load, Rotations, SourceLocationClient

pytestmark = pytest.mark.timeout(900)
CDN = [name for name in CONSUMERS if name.startswith("mediapackage")]
FLOWS = [name for name in CONSUMERS if name.startswith("mediaconnect")]
Assume = Callable[..., Any]


@pytest.fixture
def rotations(fast_onboarding: Onboarding) -> Rotations:
    return Rotations(fast_onboarding)


@pytest.fixture
def fast_assume(fast_onboarding: Onboarding) -> Assume:
    return lambda **values: fast_onboarding.aws.control("PUT", "assumptions", values)


def _access(detail: dict[str, Any]) -> str:
    return f"mediatailor/sourceLocation/{detail['resource']['sourceLocation']}"


def test_origin_gets_the_new_token_before_mediatailor_sends_it(rotations: Rotations, fast_assume: Assume) -> None:
    onboarding = rotations.onboarding
    fast_assume(tokenCacheSeconds=1)
    detail = onboarding.detail(secret={"originReaders": [ORIGIN]})
    made = onboarding.onboard(detail)
    access_id, secret_arn = made["accessId"], made["resources"]["secretArn"]
    former, before = onboarding.token(secret_arn), rotations.labels(secret_arn)
    onboarding.aws.control("PUT", "origin")
    client = SourceLocationClient(onboarding, detail["resource"]["sourceLocation"])

    with Load(client.ask).running():
        pending = rotations.stage(access_id)
        assert onboarding.token(secret_arn) == former
        origin = onboarding.aws.assume(ORIGIN).client("secretsmanager", endpoint_url=onboarding.aws.url)
        staged = origin.get_secret_value(SecretId=secret_arn, VersionStage=pending["token"]["versionStage"])
        onboarding.aws.control("PUT", "origin")
        rotated = rotations.confirm(access_id)

    assert pending["token"] == {
        "secretArn": secret_arn,
        "versionId": staged["VersionId"],
        "versionStage": "AWSPENDING",
        "readers": [ORIGIN],
    }
    assert onboarding.token(secret_arn) == json.loads(staged["SecretString"])[MEMBER] != former
    assert rotations.labels(secret_arn) == {
        "AWSCURRENT": staged["VersionId"],
        "AWSPENDING": staged["VersionId"],
        "AWSPREVIOUS": before["AWSCURRENT"],
    }
    assert rotated["token"]["versionId"] == staged["VersionId"]
    assert rotated["formerToken"]["versionId"] == before["AWSCURRENT"]
    assert rotated["formerToken"]["isAccepted"] is True


@pytest.mark.parametrize("system", CDN)
def test_cdn_switches_without_a_refusal_when_the_outcome_says_so(
    rotations: Rotations, fast_assume: Assume, system: str
) -> None:
    # The documented windows of ten and five minutes, at a 200th of their time.
    fast_assume(cdnAuthDelaySeconds=1.4 if system == "mediapackagev2" else 2.9)
    consumer = CONSUMERS[system](rotations.onboarding.aws)
    made = rotations.onboarding.onboard(consumer.detail)
    secret_arn = made["resources"]["secretArn"]
    former = consumer.token(rotations.value(secret_arn))
    cdn = Cdn(consumer, former)

    with Load(cdn.ask).running():
        rotated = rotations.rotate(made["accessId"])
        cdn.token = consumer.token(rotations.value(secret_arn))

    assert cdn.token != former
    assert rotated["formerToken"]["isAccepted"] is True
    assert Cdn(consumer, former).ask() == 200


@pytest.mark.parametrize("system", CDN)
def test_emergency_ends_the_former_token(rotations: Rotations, fast_assume: Assume, system: str) -> None:
    fast_assume(cdnAuthDelaySeconds=1.4 if system == "mediapackagev2" else 2.9)
    consumer = CONSUMERS[system](rotations.onboarding.aws)
    made = rotations.onboarding.onboard(consumer.detail)
    secret_arn = made["resources"]["secretArn"]
    former = consumer.token(rotations.value(secret_arn))
    assert Cdn(consumer, former).ask() == 200

    rotated = rotations.rotate(made["accessId"], emergency=True)

    assert rotations.value(secret_arn) == rotations.value(secret_arn, "AWSPREVIOUS")
    assert rotated["formerToken"]["isAccepted"] is False
    assert Cdn(consumer, former).ask() == 403
    assert Cdn(consumer, consumer.token(rotations.value(secret_arn))).ask() == 200


@pytest.mark.parametrize(("system", "rereads"), each_value(FLOWS, [False, True]))
def test_flow_uses_the_new_key_if_the_interruption_is_accepted(
    rotations: Rotations, fast_assume: Assume, system: str, rereads: bool
) -> None:
    fast_assume(flowRereads=rereads)
    consumer = CONSUMERS[system](rotations.onboarding.aws)
    made = rotations.onboarding.onboard(consumer.detail)
    secret_arn = made["resources"]["secretArn"]
    former, settings = rotations.value(secret_arn), consumer.settings()

    assert rotations.reject(made["accessId"]).keys() == {"acceptsInterruption"}
    assert rotations.value(secret_arn) == former
    rotations.rotate(made["accessId"], acceptsInterruption=True)

    assert rotations.value(secret_arn) != former
    assert consumer.settings() == settings
    assert _keys_in_use(rotations) == {hashlib.sha256(rotations.value(secret_arn).encode()).hexdigest()}


def _keys_in_use(rotations: Rotations) -> set[str]:
    used: dict[str, str] = rotations.onboarding.aws.control("GET", "flow-keys")
    return set(used.values())


def test_key_of_a_partner_is_rotated_by_kms(rotations: Rotations) -> None:
    event = rotations.onboarding.send(adobe_detail())
    before = rotations.onboarding.account_snapshot()

    problems = rotations.reject(event["detail"]["accessId"])

    assert problems.keys() == {"accessId"}
    assert "365 days" in problems["accessId"]
    assert rotations.onboarding.account_snapshot() == before


def _mediapackage(rotations: Rotations, **members: Any) -> tuple[ConsumerResource, dict[str, Any]]:
    consumer = CONSUMERS["mediapackage"](rotations.onboarding.aws)
    return consumer, rotations.onboarding.onboard(consumer.detail | members)


def test_no_client_is_refused_while_each_function_crashes(rotations: Rotations, fast_assume: Assume) -> None:
    fast_assume(cdnAuthDelaySeconds=2.9)
    consumer, made = _mediapackage(rotations)
    secret_arn, aws = made["resources"]["secretArn"], rotations.onboarding.aws
    cdn = Cdn(consumer, consumer.token(rotations.value(secret_arn)))
    crashing = ("CheckRotation", "CreateSecret", "PromoteToken", "ValidateAccess", "RecordRotation", "ReportOutcome")

    with Load(cdn.ask).running():
        for function in crashing:
            aws.control("POST", "faults", {"caller": f"latchkey-{function}Function", "error": "killed", "call": 2})
            rotations.rotate(made["accessId"])
            aws.control("DELETE", "faults")
            cdn.token = consumer.token(rotations.value(secret_arn))


@pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecretVersionStage"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_rotation_that_fails_leaves_the_current_token_working(rotations: Rotations, operation: str, when: str) -> None:
    consumer, made = _mediapackage(rotations)
    secret_arn, aws = made["resources"]["secretArn"], rotations.onboarding.aws
    before, former = rotations.labels(secret_arn), consumer.token(rotations.value(secret_arn))
    fault = {"service": "secretsmanager", "operation": operation, "error": "SomethingInvalid", "when": when}
    aws.control("POST", "faults", fault | {"caller": "latchkey-(Create|Promote)"})

    event = rotations.request(made["accessId"])

    aws.control("DELETE", "faults")
    assert event["detail-type"] == "Request Failed"
    assert event["detail"]["changed"] is False
    assert rotations.labels(secret_arn) == before
    assert Cdn(consumer, former).ask() == 200
    rotations.rotate(made["accessId"])


def test_access_that_fails_its_checks_gets_its_former_token_back(rotations: Rotations) -> None:
    consumer = CONSUMERS["mediaconnect-output"](rotations.onboarding.aws)
    made = rotations.onboarding.onboard(consumer.detail)
    secret_arn = made["resources"]["secretArn"]
    before = rotations.labels(secret_arn)
    denied = {"service": "iam", "operation": "SimulatePrincipalPolicy", "error": "SomethingInvalid", "times": 100}
    rotations.onboarding.aws.control("POST", "faults", denied)

    event = rotations.request(made["accessId"], acceptsInterruption=True)

    assert event["detail-type"] == "Request Failed"
    assert rotations.labels(secret_arn) == before
    assert _keys_in_use(rotations) == {hashlib.sha256(rotations.value(secret_arn).encode()).hexdigest()}


def test_rotation_whose_execution_is_aborted_is_rolled_back(rotations: Rotations) -> None:
    onboarding = rotations.onboarding
    consumer, made = _mediapackage(rotations)
    secret_arn, former = made["resources"]["secretArn"], consumer.token(rotations.value(made["resources"]["secretArn"]))
    hold = {"service": "secretsmanager", "operation": "UpdateSecretVersionStage", "error": "hold"}
    onboarding.aws.control("POST", "faults", hold)
    request_id = rotations.put(made["accessId"])
    until(lambda: onboarding.aws.control("GET", "faults"), "the held call", 60)
    [running] = onboarding.executions("Rotate", statusFilter="RUNNING")
    onboarding.aws.client("stepfunctions").stop_execution(executionArn=running["executionArn"])
    onboarding.aws.control("DELETE", "held")

    event = rotations.outcome(request_id)

    assert event["detail-type"] in {"Request Failed", "Token Rotated"}
    if event["detail-type"] == "Request Failed":
        assert consumer.token(rotations.value(secret_arn)) == former
        assert "AWSPENDING" not in rotations.labels(secret_arn)
    rotations.rotate(made["accessId"])


def test_rotation_makes_two_calls_that_change_anything(rotations: Rotations) -> None:
    _, made = _mediapackage(rotations)
    aws = rotations.onboarding.aws
    aws.control("DELETE", "calls")

    rotations.rotate(made["accessId"])

    writing = ("Put", "Update", "Create", "Delete", "Tag", "Untag", "Revoke", "Schedule", "Enable", "Attach")
    calls = aws.control("GET", "calls")
    made_by_us = {
        f"{call['service']} {call['operation']}": call["count"]
        for call in calls
        if "latchkey-" in call["principal"]
        and call["operation"].startswith(writing)
        and call["service"] not in ("dynamodb", "events", "logs", "lambda")
    }
    assert made_by_us == {"secretsmanager PutSecretValue": 1, "secretsmanager UpdateSecretVersionStage": 1}


def test_pending_rotation_can_be_withdrawn(rotations: Rotations) -> None:
    made = rotations.onboarding.onboard(rotations.onboarding.detail())
    secret_arn, before = made["resources"]["secretArn"], rotations.labels(made["resources"]["secretArn"])
    pending = rotations.stage(made["accessId"])

    withdrawn = rotations.withdraw(made["accessId"])

    assert withdrawn["token"]["versionId"] == pending["token"]["versionId"]
    assert rotations.labels(secret_arn) == before
    assert rotations.reject(made["accessId"], "Rotation Confirmed").keys() == {"accessId"}
    rotations.stage(made["accessId"])


def _change_item(rotations: Rotations, kind: str, item_id: str, **attributes: str) -> None:
    """Writes attributes of an item of the registry."""
    client = rotations.onboarding.aws.client("dynamodb")
    [table] = [name for name in client.list_tables()["TableNames"] if "AccessTable" in name]
    client.update_item(
        TableName=table,
        Key={"kind": {"S": kind}, "id": {"S": item_id}},
        UpdateExpression=f"SET {', '.join(f'{name} = :{name}' for name in attributes)}",
        ExpressionAttributeValues={f":{name}": {"S": value} for name, value in attributes.items()},
    )


def _item(rotations: Rotations, kind: str, item_id: str) -> dict[str, Any]:
    client = rotations.onboarding.aws.client("dynamodb")
    [table] = [name for name in client.list_tables()["TableNames"] if "AccessTable" in name]
    found: dict[str, Any] = client.get_item(TableName=table, Key={"kind": {"S": kind}, "id": {"S": item_id}})["Item"]
    return found


def _outcome_of(rotations: Rotations, detail_type: str) -> dict[str, Any]:
    """The outcome of a request that the sweep has started."""

    def found() -> dict[str, Any] | None:
        return next((one for one in rotations.onboarding.outcomes.all() if one["detail-type"] == detail_type), None)

    return until(found, detail_type, 60) or {}


def test_sweep_withdraws_a_rotation_that_nobody_confirms(rotations: Rotations) -> None:
    made = rotations.onboarding.onboard(rotations.onboarding.detail())
    before = rotations.labels(made["resources"]["secretArn"])
    rotations.stage(made["accessId"], pendingDays=1)
    rotations.onboarding.sweep()
    assert "AWSPENDING" in rotations.labels(made["resources"]["secretArn"])
    facts = json.loads(_item(rotations, "access", made["accessId"])["phaseFacts"]["S"])
    expired = json.dumps(facts | {"until": "2026-01-01T00:00:00+00:00"})
    _change_item(rotations, "access", made["accessId"], phaseFacts=expired)

    rotations.onboarding.sweep()

    event = _outcome_of(rotations, "Rotation Withdrawn")
    assert event["detail"]["accessId"] == made["accessId"]
    assert event["detail"]["steps"]
    assert rotations.labels(made["resources"]["secretArn"]) == before


def test_sweep_rotates_what_is_due(rotations: Rotations) -> None:
    consumer, made = _mediapackage(rotations, rotation={"everyDays": 30})
    secret_arn = made["resources"]["secretArn"]
    former = rotations.value(secret_arn)
    rotations.onboarding.sweep()
    assert rotations.value(secret_arn) == former
    name = secret_arn.split(":", 6)[6][: -len("-abcdef")]
    _change_item(rotations, "resource", f"secret {name}", tokenSince="2026-01-01T00:00:00+00:00")

    rotations.onboarding.sweep()

    assert _outcome_of(rotations, "Token Rotated")["detail"]["accessId"] == made["accessId"]
    assert consumer.token(rotations.value(secret_arn)) != consumer.token(former)
    rotations.onboarding.sweep()
    assert len([one for one in rotations.onboarding.outcomes.all() if one["detail-type"] == "Token Rotated"]) == 1


OTHER_TOOLS: dict[str, Callable[[Rotations, str], object]] = {
    "PutSecretValue": lambda r, arn: r.secretsmanager.put_secret_value(SecretId=arn, SecretString=r.value(arn)),
    "a pending version": lambda r, arn: r.secretsmanager.put_secret_value(
        SecretId=arn, SecretString="{}", VersionStages=["AWSPENDING"]
    ),
    "RotateSecret": lambda r, arn: r.secretsmanager.rotate_secret(
        SecretId=arn,
        RotationLambdaARN="arn:aws:lambda:us-east-1:000000000000:function:rotate",
        RotationRules={"AutomaticallyAfterDays": 30},
    ),
}


@pytest.mark.parametrize("tool", OTHER_TOOLS)
def test_rotation_of_another_tool_is_left_alone(rotations: Rotations, tool: str) -> None:
    made = rotations.onboarding.onboard(rotations.onboarding.detail())
    secret_arn = made["resources"]["secretArn"]
    OTHER_TOOLS[tool](rotations, secret_arn)
    before = (rotations.labels(secret_arn), rotations.onboarding.account_snapshot())

    assert rotations.reject(made["accessId"]).keys() == {"accessId"}

    assert (rotations.labels(secret_arn), rotations.onboarding.account_snapshot()) == before


def test_value_that_a_person_stored_is_accepted_by_the_onboarding_request(rotations: Rotations) -> None:
    detail = rotations.onboarding.detail()
    made = rotations.onboarding.onboard(detail)
    value = json.dumps({MEMBER: "stored-by-a-person"})
    rotations.secretsmanager.put_secret_value(SecretId=made["resources"]["secretArn"], SecretString=value)
    rotations.reject(made["accessId"])

    rotations.onboarding.onboard(detail | {"requestId": f"{detail['requestId']}-again"})

    rotations.stage(made["accessId"])


def test_pending_rotation_that_somebody_disturbed_cannot_be_confirmed(rotations: Rotations) -> None:
    made = rotations.onboarding.onboard(rotations.onboarding.detail())
    secret_arn = made["resources"]["secretArn"]
    rotations.stage(made["accessId"])
    rotations.secretsmanager.put_secret_value(SecretId=secret_arn, SecretString=json.dumps({MEMBER: "stored-by-a-person"}))
    before = rotations.labels(secret_arn)

    assert rotations.reject(made["accessId"], "Rotation Confirmed").keys() == {"accessId"}
    assert rotations.labels(secret_arn) == before


def test_owner_consents_to_the_rotation_of_an_adopted_secret(rotations: Rotations) -> None:
    onboarding = rotations.onboarding
    key_arn = onboarding.new_key()
    value = {MEMBER: "present-token", "user": "origin"}
    secret_arn = onboarding.new_secret(json.dumps(value), KmsKeyId=key_arn)
    members: dict[str, Any] = {"key": {"arn": key_arn}, "secret": {"value": {"existing": {"secretArn": secret_arn}}}}
    made = onboarding.onboard(onboarding.detail(**members))
    assert rotations.reject(made["accessId"]).keys() == {"accessId"}
    assert json.loads(rotations.value(secret_arn)) == value

    consent = [{"Key": "latchkey:rotation-consent", "Value": "rotate"}]
    rotations.secretsmanager.tag_resource(SecretId=secret_arn, Tags=consent)
    rotations.stage(made["accessId"])
    rotations.confirm(made["accessId"])

    rotated = json.loads(rotations.value(secret_arn))
    assert rotated == value | {MEMBER: rotated[MEMBER]}
    assert rotated[MEMBER] != value[MEMBER]


def test_other_accesses_of_a_shared_secret_go_on_working(rotations: Rotations, fast_assume: Assume) -> None:
    fast_assume(cdnAuthDelaySeconds=2.9)
    onboarding = rotations.onboarding
    key_arn = onboarding.new_key()
    secret_arn = onboarding.new_secret(json.dumps({"MediaPackageCDNIdentifier": "present-token"}), KmsKeyId=key_arn)
    consent = [{"Key": "latchkey:rotation-consent", "Value": "rotate"}]
    rotations.secretsmanager.tag_resource(SecretId=secret_arn, Tags=consent)
    members = {"key": {"arn": key_arn}, "secret": {"value": {"existing": {"secretArn": secret_arn}}}}
    consumers = [CONSUMERS[name](onboarding.aws) for name in ("mediapackage", "mediapackage-vod")]
    details = [consumer.detail | members for consumer in consumers]
    first, _ = (onboarding.onboard(detail) for detail in details)
    cdn = Cdn(consumers[1], "present-token")

    with Load(cdn.ask).running():
        rotations.rotate(first["accessId"])
        cdn.token = consumers[1].token(rotations.value(secret_arn))

    again = [onboarding.onboard(detail | {"requestId": f"{detail['requestId']}-again"}) for detail in details]
    assert [one["status"] for one in again] == ["unchanged", "unchanged"]


def test_token_can_be_copied_within_the_bounds_of_copies(rotations: Rotations) -> None:
    made = rotations.onboarding.onboard(rotations.onboarding.detail())
    source = rotations.onboarding.new_secret(json.dumps({"theirs": "copied-token"}), consent="import")
    value = {"copyFrom": {"secretArn": source, "key": "theirs"}}
    secret_arn = made["resources"]["secretArn"]
    before = rotations.labels(secret_arn)
    stranger = rotations.onboarding.new_secret(json.dumps({"theirs": "copied-token"}))

    problems = rotations.reject(made["accessId"], value={"copyFrom": {"secretArn": stranger, "key": "theirs"}})
    assert problems.keys() == {"value.copyFrom"}, "its owner has not consented"
    assert rotations.labels(secret_arn) == before

    rotations.stage(made["accessId"], value=value)
    rotations.confirm(made["accessId"])
    assert [*json.loads(rotations.value(secret_arn)).values()] == ["copied-token"]


BAD: dict[str, dict[str, Any]] = {
    "an unknown member": {"token": "4711"},
    "a length that does not fit": {"value": {"generate": {"length": 7}}},
    "two sources": {"value": {"generate": {}, "copyFrom": {"secretArn": "arn"}}},
    "too long a wait": {"pendingDays": 31},
    "a withdrawal of nothing": {"withdraw": True},
    "a withdrawal with a value": {"withdraw": True, "emergency": True},
    "a plan that follows a plan": {"mode": "plan", "planHash": 64 * "0"},
    "a plan of another request": {"planHash": 64 * "0"},
}


def test_bad_input_changes_nothing(rotations: Rotations) -> None:
    made = rotations.onboarding.onboard(rotations.onboarding.detail())
    secret_arn = made["resources"]["secretArn"]
    before = (rotations.labels(secret_arn), rotations.onboarding.account_snapshot())

    for name, members in BAD.items():
        assert rotations.reject(made["accessId"], **members), name
    assert rotations.reject("mediatailor/sourceLocation/unknown").keys() == {"accessId"}
    assert rotations.reject(made["accessId"], "Rotation Confirmed").keys() == {"accessId"}

    assert (rotations.labels(secret_arn), rotations.onboarding.account_snapshot()) == before


def test_two_rotations_at_once_are_not_interleaved(rotations: Rotations) -> None:
    _, made = _mediapackage(rotations)
    secret_arn = made["resources"]["secretArn"]
    former = rotations.labels(secret_arn)["AWSCURRENT"]

    requests = [rotations.put(made["accessId"]) for _ in range(2)]
    outcomes = [rotations.outcome(request_id) for request_id in requests]

    kinds = sorted(outcome["detail-type"] for outcome in outcomes)
    assert kinds in (["Request Rejected", "Token Rotated"], ["Token Rotated", "Token Rotated"])
    if "Request Rejected" in kinds:
        assert rotations.labels(secret_arn)["AWSPREVIOUS"] == former


def test_rotation_waits_for_an_onboarding_that_runs(rotations: Rotations) -> None:
    onboarding = rotations.onboarding
    detail = onboarding.detail()
    made = onboarding.onboard(detail)
    again = detail | {"requestId": f"{detail['requestId']}-again"}
    hold = {"service": "kms", "operation": "DescribeKey", "request": again["requestId"], "error": "hold"}
    onboarding.aws.control("POST", "faults", hold)
    onboarding.put(again)
    until(lambda: onboarding.aws.control("GET", "faults"), "the held call", 60)

    request_id = rotations.put(made["accessId"])
    onboarding.aws.control("DELETE", "faults")

    assert onboarding.outcomes.wait_for(again["requestId"])["detail-type"] == "Access Onboarded"
    assert rotations.outcome(request_id)["detail-type"] == "Token Pending"


def test_access_is_in_order_after_its_rotation(rotations: Rotations) -> None:
    detail = rotations.onboarding.detail()
    made = rotations.onboarding.onboard(detail)
    rotations.stage(made["accessId"])
    assert rotations.reject(made["accessId"]).keys() == {"accessId"}
    rotations.confirm(made["accessId"])
    again = detail | {"requestId": f"{detail['requestId']}-again"}
    assert rotations.onboarding.onboard(again)["status"] == "unchanged"
