"""Concurrent requests: in sequence for one access, merged for what they share."""

import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from threading import Event
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import until
from tests.sampling import WHOLE
from tests.workflow.onboarding import MEMBER, ORIGIN, Onboarding

OWN_SIDS = ["LatchkeyManagementRoles", "LatchkeyMediatailorReading", "LatchkeyOriginReaders"]


def _executions(onboarding: Onboarding, outcomes: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Returns the histories of the executions of these outcomes."""
    stepfunctions = onboarding.aws.client("stepfunctions")
    arns = [outcome["detail"]["executionArn"] for outcome in outcomes]
    return [stepfunctions.get_execution_history(executionArn=arn, maxResults=1000)["events"] for arn in arns]


def _onboard_at_once(onboarding: Onboarding, details: list[dict[str, Any]], seconds: float = 120) -> list[dict[str, Any]]:
    """Sends requests concurrently, all of which must succeed, and returns their outcome events."""
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
    """Creates origin roles, one per request."""
    iam, trust = onboarding.aws.client("iam"), json.dumps({"Version": "2012-10-17", "Statement": []})
    names = [f"origin-{secrets.token_hex(4)}" for _ in range(count)]
    return [iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"] for name in names]


def _sharing(onboarding: Onboarding, first: dict[str, Any], secret_arn: str, role: str) -> dict[str, Any]:
    """Returns a request of another location for the same key and secret, with another origin role."""
    onboarding.consent(secret_arn)
    existing = {"value": {"existing": {"secretArn": secret_arn}}, "originReaders": [role]}
    return onboarding.detail(key=first["key"], secret=existing, managementRoles=None)


def test_five_concurrent_requests_for_one_alias_create_one_key(onboarding: Onboarding) -> None:
    before = onboarding.account_snapshot()["keys"]
    alias = {"alias": f"alias/latchkey/{secrets.token_hex(4)}"}

    outcomes = _onboard_at_once(onboarding, [onboarding.detail(key=alias) for _ in range(5)])

    (key_arn,) = {event["detail"]["resources"]["keyArn"] for event in outcomes}
    assert set(onboarding.account_snapshot()["keys"]) - set(before) == {key_arn}
    secret_arns = {event["detail"]["resources"]["secretArn"] for event in outcomes}
    patterns = _statement(onboarding.key_policy(key_arn), "LatchkeySecretDecryption")
    allowed = patterns["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"]
    assert len(secret_arns) == 5
    assert all(any(fnmatchcase(arn, pattern) for pattern in allowed) for arn in secret_arns)


def test_concurrent_requests_for_one_access_run_in_sequence_and_the_last_wins(onboarding: Onboarding) -> None:
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


class Person:
    """Edits both policies of a key and secret as people do: reads a policy and later writes it with one more statement.

    The edit overwrites what Latchkey wrote in between. The person holds the lease during a write, so that no function is
    between its read and its write: neither KMS nor Secrets Manager has conditional writes, so the last writer wins.
    """

    def __init__(self, onboarding: Onboarding, key_arn: str, secret_arn: str) -> None:
        self._onboarding, self._key, self._secret = onboarding, key_arn, secret_arn
        action = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Resource": "*"}
        nameless = action | {"Action": "secretsmanager:DescribeSecret"}
        self.in_key: list[dict[str, Any]] = []
        self.in_secret = [nameless, nameless | {"Sid": "Twin"}, nameless | {"Sid": "Twin"}]
        self._put_secret(onboarding.secret_policy(secret_arn)["Statement"] + self.in_secret)

    def __call__(self, stop: Event) -> None:
        # Only a few times: a person who overwrote every write of Latchkey would leave no access complete.
        while len(self.in_key) < 4 and not stop.is_set():
            added = self.in_secret[0] | {"Sid": f"Person{len(self.in_key)}"}
            key, secret = self._onboarding.key_policy(self._key), self._onboarding.secret_policy(self._secret)
            self._await_a_write(stop)
            with self._alone(self._key):
                policy = json.dumps(key | {"Statement": [*key["Statement"], added]})
                self._onboarding.kms.put_key_policy(KeyId=self._key, PolicyName="default", Policy=policy)
            with self._alone(self._secret):
                self._put_secret([*secret["Statement"], added])
            self.in_key.append(added)
            self.in_secret.append(added)

    def _put_secret(self, statements: list[dict[str, Any]]) -> None:
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self._onboarding.secretsmanager.put_resource_policy(SecretId=self._secret, ResourcePolicy=policy)

    def _await_a_write(self, stop: Event) -> None:
        before = self._written()
        until(lambda: self._written() > before or stop.is_set(), "Latchkey's next write or its end", 600)

    def _written(self) -> int:
        """Returns how many resource policies Latchkey has written. It writes them after the key policy."""
        calls = self._onboarding.aws.control("GET", "calls")
        return sum(c["count"] for c in calls if (c["operation"], "Attach" in c["principal"]) == ("PutResourcePolicy", True))

    @contextmanager
    def _alone(self, arn: str) -> Iterator[None]:
        dynamodb, key = self._onboarding.aws.client("dynamodb"), {"kind": {"S": "lease"}, "id": {"S": f"policy of {arn}"}}
        (table,) = (name for name in dynamodb.list_tables()["TableNames"] if "AccessTable" in name)
        taken = key | {"holder": {"S": "somebody"}, "expiresAt": {"N": "99999999999"}}

        def take() -> bool:
            with suppress(dynamodb.exceptions.ConditionalCheckFailedException):
                dynamodb.put_item(TableName=table, Item=taken, ConditionExpression="attribute_not_exists(id)")
                return True
            return False

        until(take, "a pause of Latchkey", 60)
        yield
        dynamodb.delete_item(TableName=table, Key=key)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_concurrent_requests_share_a_key_and_secret_whose_policies_a_person_edits(
    onboarding: Onboarding, report_sample: Callable[[str], None]
) -> None:
    number = 20 if WHOLE else 4
    first = onboarding.detail()
    made = onboarding.onboard(first)["resources"]
    key_arn, secret_arn = made["keyArn"], made["secretArn"]
    roles = _new_roles(onboarding, number + 1)
    details = [_sharing(onboarding, first, secret_arn, role) for role in roles]
    person = Person(onboarding, key_arn, secret_arn)

    with ThreadPoolExecutor(1) as thread, _set_at_last(Event()) as stop:
        ended = thread.submit(person, stop)
        _onboard_at_once(onboarding, details[:number], 600)
    ended.result()
    # If the person wrote last, the next request restores the statements of all accesses.
    onboarding.onboard(details[number])

    key, secret = onboarding.key_policy(key_arn)["Statement"], onboarding.secret_policy(secret_arn)["Statement"]
    assert person.in_key
    assert [statement for statement in key if statement in person.in_key] == person.in_key
    assert [statement for statement in secret if not _is_ours(statement)] == person.in_secret
    assert sorted(statement["Sid"] for statement in secret if _is_ours(statement)) == OWN_SIDS
    assert set(_statement({"Statement": secret}, "LatchkeyOriginReaders")["Principal"]["AWS"]) == {ORIGIN, *roles}
    assert set(roles) < set(_statement({"Statement": key}, "LatchkeySecretDecryption")["Principal"]["AWS"])
    assert len(onboarding.grants(key_arn)) == number + 2
    report_sample(f"{number} of 20 requests at once")


@contextmanager
def _set_at_last(event: Event) -> Iterator[Event]:
    try:
        yield event
    finally:
        event.set()


def _is_ours(statement: dict[str, Any]) -> bool:
    return str(statement.get("Sid", "")).startswith("Latchkey")


def test_statement_lost_before_validation_is_attached_again(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    made = onboarding.onboard(first)["resources"]
    (role,) = _new_roles(onboarding, 1)
    before = onboarding.key_policy(made["keyArn"]), onboarding.secret_policy(made["secretArn"])
    fault = {"service": "mediatailor", "operation": "CreateSourceLocation", "error": "TooManyRequestsException"}
    onboarding.aws.control("POST", "faults", fault | {"status": 429, "times": 1000, "when": "before"})
    detail = _sharing(onboarding, first, made["secretArn"], role)

    onboarding.aws.control("DELETE", "calls")
    onboarding.put(detail)
    until(lambda: _is_configuring(onboarding), "the step after the policies", 60)
    onboarding.kms.put_key_policy(KeyId=made["keyArn"], PolicyName="default", Policy=json.dumps(before[0]))
    onboarding.secretsmanager.put_resource_policy(SecretId=made["secretArn"], ResourcePolicy=json.dumps(before[1]))
    onboarding.aws.control("DELETE", "faults")
    outcome = onboarding.outcomes.wait_for(detail["requestId"], 60)

    assert outcome["detail-type"] == "Access Onboarded", outcome
    assert role in _statement(onboarding.key_policy(made["keyArn"]), "LatchkeySecretDecryption")["Principal"]["AWS"]
    assert role in _statement(onboarding.secret_policy(made["secretArn"]), "LatchkeyOriginReaders")["Principal"]["AWS"]
    (history,) = _executions(onboarding, [outcome])
    assert [_entered(event) for event in history].count("Attach policies") == 2


def _is_configuring(onboarding: Onboarding) -> bool:
    return any(call["operation"] == "CreateSourceLocation" for call in onboarding.aws.control("GET", "calls"))


def test_token_of_another_access_is_never_copied_replaced_or_moved(onboarding: Onboarding) -> None:
    victim = onboarding.detail()
    made = onboarding.onboard(victim)["resources"]
    onboarding.consent(made["secretArn"])
    sharing = {"value": {"existing": {"secretArn": made["secretArn"]}}}
    onboarding.onboard(onboarding.detail(key=victim["key"], secret=sharing, managementRoles=None))
    token = onboarding.token(made["secretArn"])
    theirs = onboarding.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}), consent="import")
    name = onboarding.secretsmanager.describe_secret(SecretId=made["secretArn"])["Name"]

    copied = {"value": {"copyFrom": {"secretArn": made["secretArn"], "key": MEMBER}}}
    assert "latchkey:consent=import" in onboarding.reject(onboarding.detail(secret=copied))["secret.value.copyFrom.secretArn"]
    replaced = {"name": name, "value": {"copyFrom": {"secretArn": theirs, "key": MEMBER}}}
    assert onboarding.rejected_paths(onboarding.detail(key=victim["key"], secret=replaced)) == {"secret.name"}
    moved = onboarding.detail(secret=sharing | {"moveKey": True})
    assert onboarding.rejected_paths(moved) == {"secret.moveKey"}

    assert onboarding.token(made["secretArn"]) == token
    assert onboarding.secretsmanager.describe_secret(SecretId=made["secretArn"])["KmsKeyId"] == made["keyArn"]
