"""Requests that meet: one after the other for one access, together for what they share."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.workflow.conftest import MEMBER, Onboarding


def _executions(onboarding: Onboarding, outcomes: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The histories of the executions that ended in these outcomes."""
    stepfunctions = onboarding.aws.client("stepfunctions")
    arns = [outcome["detail"]["executionArn"] for outcome in outcomes]
    return [stepfunctions.get_execution_history(executionArn=arn, maxResults=1000)["events"] for arn in arns]


def _onboard_at_once(onboarding: Onboarding, details: list[dict[str, Any]], seconds: float = 120) -> list[dict[str, Any]]:
    """Sends requests at once, all of which must succeed; returns their outcome events."""
    with ThreadPoolExecutor(len(details)) as threads:
        list(threads.map(onboarding.put, details))
    outcomes = [onboarding.outcomes.wait_for(detail["requestId"], seconds) for detail in details]
    assert {event["detail-type"] for event in outcomes} == {"Access Onboarded"}, json.dumps(outcomes, indent=2)
    return outcomes


def _statement(policy: dict[str, Any], sid: str) -> dict[str, Any]:
    (found,) = (statement for statement in policy["Statement"] if statement.get("Sid") == sid)
    statement: dict[str, Any] = found
    return statement


def _new_roles(onboarding: Onboarding, count: int) -> list[str]:
    """Roles of origins, each of which one request names."""
    iam, trust = onboarding.aws.client("iam"), json.dumps({"Version": "2012-10-17", "Statement": []})
    names = [f"origin-{secrets.token_hex(4)}" for _ in range(count)]
    return [iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"] for name in names]


def _sharing(onboarding: Onboarding, first: dict[str, Any], secret_arn: str, role: str) -> dict[str, Any]:
    """A request of another location for the same key and secret, with an origin of its own."""
    existing = {"value": {"existing": {"secretArn": secret_arn}}, "originReaders": [role]}
    return onboarding.detail(key=first["key"], secret=existing, managementRoles=None)


def test_five_requests_for_one_new_alias_make_one_key(onboarding: Onboarding) -> None:
    before = onboarding.everything()["keys"]
    alias = {"alias": f"alias/latchkey/{secrets.token_hex(4)}"}

    outcomes = _onboard_at_once(onboarding, [onboarding.detail(key=alias) for _ in range(5)])

    (key_arn,) = {event["detail"]["resources"]["keyArn"] for event in outcomes}
    assert set(onboarding.everything()["keys"]) - set(before) == {key_arn}
    secret_arns = [event["detail"]["resources"]["secretArn"] for event in outcomes]
    patterns = _statement(onboarding.key_policy(key_arn), "LatchkeySecretDecryption")
    allowed = patterns["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"]
    assert sorted(arn[:-6] for arn in secret_arns) == sorted(pattern.removesuffix("??????") for pattern in allowed)


def test_two_requests_for_one_access_at_once_run_one_after_the_other_and_the_last_stands(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    name = first["resource"]["sourceLocation"]
    second = onboarding.detail(name, resource=first["resource"] | {"header": "X-Other-Token"})

    outcomes = _onboard_at_once(onboarding, [first, second])

    histories = sorted(_executions(onboarding, outcomes), key=lambda events: events[-1]["timestamp"])
    ended = next(e["timestamp"] for e in histories[0] if _entered(e) == "Succeed")
    begun = next(e["timestamp"] for e in histories[1] if _entered(e) == "Create key")
    assert ended <= begun
    assert len({event["detail"]["resources"]["secretArn"] for event in outcomes}) == 1
    last = json.loads(histories[1][0]["executionStartedEventDetails"]["input"])["request"]
    access = onboarding.location(name)["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]
    assert access["HeaderName"] == last["resource"]["header"]


def _entered(event: dict[str, Any]) -> str | None:
    name: str | None = event.get("stateEnteredEventDetails", {}).get("name")
    return name


def test_a_token_of_another_access_is_not_copied_or_replaced_or_moved(onboarding: Onboarding) -> None:
    victim = onboarding.detail()
    made = onboarding.onboard(victim)["resources"]
    sharing = {"value": {"existing": {"secretArn": made["secretArn"]}}}
    onboarding.onboard(onboarding.detail(key=victim["key"], secret=sharing, managementRoles=None))
    token = onboarding.token(made["secretArn"])
    theirs = onboarding.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}), consent="import")
    name = onboarding.secretsmanager.describe_secret(SecretId=made["secretArn"])["Name"]

    copied = {"value": {"copyFrom": {"secretArn": made["secretArn"], "key": MEMBER}}}
    assert "consent = import" in onboarding.reject(onboarding.detail(secret=copied))["secret.value.copyFrom.secretArn"]
    replaced = {"name": name, "value": {"copyFrom": {"secretArn": theirs, "key": MEMBER}}}
    assert "another access" in onboarding.reject(onboarding.detail(key=victim["key"], secret=replaced))["secret.name"]
    moved = onboarding.detail(secret=sharing | {"moveKey": True})
    assert "read the same secret" in onboarding.reject(moved)["secret.moveKey"]

    assert onboarding.token(made["secretArn"]) == token
    assert onboarding.secretsmanager.describe_secret(SecretId=made["secretArn"])["KmsKeyId"] == made["keyArn"]
