"""Repairs through the deployed stack: every kind at once, what is foreign, what comes back, and reads that are not complete."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latchkey.access.findings import CATALOG
from latchkey.events.cleanup import NOTICES
from local_aws.tools.embedded_aws import until
from tests.contract.schemas import validator
from tests.workflow.clean_ups import Access, CleanUps
from tests.workflow.consumer_resources import CONSUMERS, ConsumerResource, fetch
from tests.workflow.onboarding import Onboarding
from tests.workflow.policy_forms import in_order

REPAIRED = {kind.value for kind, facts in CATALOG.items() if facts.remediation == "repair"}
ROLE_SYSTEMS = ("mediapackage", "mediapackage-vod", "mediapackagev2")
THEIRS = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Resource": "*"}
ADMITTING = {
    "Sid": "TheirsReading",
    "Effect": "Allow",
    "Principal": {"Service": "mediatailor.amazonaws.com"},
    "Action": "secretsmanager:GetSecretValue",
    "Resource": "*",
}
# The finding about it, which stays.
LEFT = {"secret-policy-admits-others": 2}
MANAGEMENT, READING = "LatchkeyMediatailorManagement", "LatchkeyMediatailorReading"

Detail = dict[str, Any]


@pytest.fixture
def clean_ups(fast_onboarding: Onboarding) -> CleanUps:
    """Without trail events, so that only reconciliations look at what was damaged."""
    fast_onboarding.aws.control("PUT", "assumptions", {"trail": {"lose": 1}, "mediatailorRetires": "never"})
    return CleanUps(fast_onboarding)


def reconcile(onboarding: Onboarding, **members: Any) -> Detail:
    """Reconciles, which must succeed, and returns the detail of the outcome."""
    event = onboarding.send({"requestId": f"reconcile-{uuid.uuid4().hex[:12]}"} | members, 240, kind="Reconciliation Requested")
    assert event["detail-type"] == "Reconciliation Completed", json.dumps(event["detail"], indent=2)
    detail: Detail = event["detail"]
    return detail


@contextmanager
def parameter(onboarding: Onboarding, function: str, **values: str) -> Iterator[None]:
    """A function with other values of stack parameters, by the variables of its environment."""
    client = onboarding.aws.client("lambda")
    names = (one["FunctionName"] for page in client.get_paginator("list_functions").paginate() for one in page["Functions"])
    [name] = [one for one in names if function in one]
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    assert {*values} <= {*variables}
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables | values})
    try:
        yield
    finally:
        client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


class Damaged:
    """Accesses of several systems, with something of somebody else in each, and everything that can be wrong with them."""

    def __init__(self, clean_ups: CleanUps) -> None:
        self.clean_ups, self.onboarding = clean_ups, clean_ups.onboarding
        self.aws, self.kms, self.secretsmanager = clean_ups.aws, clean_ups.kms, clean_ups.secretsmanager
        self.iam = self.aws.client("iam")
        self.consumers = {system: CONSUMERS[system](self.aws) for system in ROLE_SYSTEMS}
        details = [self.onboarding.detail() for _ in range(3)]
        details[1]["key"] |= {"rotationDays": 365}
        for consumer in self.consumers.values():
            self.onboarding.put(detail := consumer.detail)
            details.append(detail)
        self.locations = clean_ups.onboard(*details[:3])
        self.made = {one.system: self._made(detail) for one, detail in zip(self.consumers.values(), details[3:], strict=True)}
        self.roles = {system: made["roleArn"].rpartition("/")[2] for system, made in self.made.items()}
        self.keys = [*(one.key for one in self.locations), *(made["keyArn"] for made in self.made.values())]
        self.secrets = [*(one.secret for one in self.locations), *(made["secretArn"] for made in self.made.values())]
        self._add_foreign()

    def _made(self, detail: Detail) -> Detail:
        event = self.onboarding.outcomes.wait_for(detail["requestId"], 120)
        assert event["detail-type"] == "Access Onboarded", json.dumps(event["detail"], indent=2)
        made: Detail = event["detail"]["resources"]
        return made

    def _add_foreign(self) -> None:
        for key in self.keys:
            deny = THEIRS | {"Action": "kms:ReplicateKey"}
            self.change_key_policy(key, lambda statements, deny=deny: [deny, *statements])  # type: ignore[misc]
            self.kms.tag_resource(KeyId=key, Tags=[{"TagKey": "team", "TagValue": "sports"}])
        # Without it, the service would be excluded by the damage, and the sweep would revoke its grants, even in an audit.
        for secret in self.secrets[:2]:
            self.change_secret_policy(secret, lambda statements: [*statements, ADMITTING])
        for secret in self.secrets:
            deny = THEIRS | {"Action": "secretsmanager:ReplicateSecretToRegions"}
            self.change_secret_policy(secret, lambda statements, deny=deny: [deny, *statements])  # type: ignore[misc]
            self.secretsmanager.tag_resource(SecretId=secret, Tags=[{"Key": "team", "Value": "sports"}])
        value = json.loads(self.secretsmanager.get_secret_value(SecretId=self.secrets[2])["SecretString"])
        self.secretsmanager.put_secret_value(SecretId=self.secrets[2], SecretString=json.dumps(value | {"Other": "theirs" * 4}))
        for one in self.locations:
            arn = self.onboarding.location(one.name)["Arn"]
            self.clean_ups.mediatailor.tag_resource(ResourceArn=arn, Tags={"team": "sports"})

    def change_key_policy(self, key: str, change: Callable[[list[Detail]], list[Detail]]) -> None:
        policy = self.onboarding.key_policy(key)
        changed = json.dumps(policy | {"Statement": change(policy["Statement"])})
        self.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=changed)

    def change_secret_policy(self, secret: str, change: Callable[[list[Detail]], list[Detail]]) -> None:
        policy = {"Version": "2012-10-17", "Statement": []} | self.onboarding.secret_policy(secret)
        changed = json.dumps(policy | {"Statement": change(policy["Statement"])})
        self.secretsmanager.put_resource_policy(SecretId=secret, ResourcePolicy=changed)

    def damage(self) -> None:
        """Brings every kind about that a repair corrects, several of them in each access."""
        first, second, third = self.locations
        self.kms.disable_key_rotation(KeyId=first.key)
        self.change_key_policy(first.key, lambda given: [one for one in given if one["Sid"] != MANAGEMENT])
        self.change_secret_policy(first.secret, lambda given: [one for one in given if one["Sid"] != READING])
        self.kms.enable_key_rotation(KeyId=second.key, RotationPeriodInDays=100)
        self.change_key_policy(second.key, lambda given: [_altered(one, MANAGEMENT, "kms:DescribeKey") for one in given])
        action = "secretsmanager:DescribeSecret"
        self.change_secret_policy(second.secret, lambda given: [_altered(one, READING, action) for one in given])
        settings = self.clean_ups.settings(second)
        settings["HttpConfiguration"]["BaseUrl"] += "/other"
        settings["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]["HeaderName"] = "X-Other"
        self.clean_ups.mediatailor.update_source_location(**settings)
        self.change_key_policy(third.key, lambda given: [_outdated(one, third.secret) for one in given])
        settings = self.clean_ups.settings(third)
        settings["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]["SecretStringKey"] = "Other"
        self.clean_ups.mediatailor.update_source_location(**settings)
        for grant in self.clean_ups.grants(third):
            self.kms.revoke_grant(KeyId=third.key, GrantId=grant)
        self._damage_roles()

    def _damage_roles(self) -> None:
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trusts = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        live, vod, v2 = (self.roles[system] for system in ROLE_SYSTEMS)
        tags = self.iam.list_role_tags(RoleName=vod)["Tags"]
        for role in (live, vod):
            for name in self.iam.list_role_policies(RoleName=role)["PolicyNames"]:
                self.iam.delete_role_policy(RoleName=role, PolicyName=name)
            self.iam.delete_role(RoleName=role)
        self.onboarding.await_later_second()
        self.iam.create_role(RoleName=vod, AssumeRolePolicyDocument=trusts, Tags=tags)
        [name] = self.iam.list_role_policies(RoleName=v2)["PolicyNames"]
        self.iam.update_assume_role_policy(RoleName=v2, PolicyDocument=trusts)
        self.iam.delete_role_policy(RoleName=v2, PolicyName=name)
        self.iam.delete_role_permissions_boundary(RoleName=v2)

    def state(self) -> Detail:
        """Everything in the account that a person or a repair can change, whatever its order."""
        kms = self.kms
        return {
            "keys": {key: self._key(key) for page in kms.get_paginator("list_keys").paginate() for key in _ids(page)},
            "aliases": sorted(a["AliasName"] for p in kms.get_paginator("list_aliases").paginate() for a in p["Aliases"]),
            "secrets": {secret: self._secret(secret) for secret in self.secrets},
            "locations": {one.name: _plain(self.onboarding.location(one.name)) for one in self.locations},
            "resources": {system: _plain(one.settings()) for system, one in self.consumers.items()},
            "roles": {role["RoleName"]: self._role(role["RoleName"]) for role in self._reader_roles()},
        }

    def _reader_roles(self) -> list[Detail]:
        pages = self.iam.get_paginator("list_roles").paginate()
        return [one for page in pages for one in page["Roles"] if one["RoleName"] in self.roles.values()]

    def _key(self, key: str) -> Detail:
        rotation = self.kms.get_key_rotation_status(KeyId=key)
        grants = [[one["Name"], sorted(one["Operations"]), one["Constraints"]] for one in self.onboarding.grants(key)]
        return {
            "state": self.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"],
            "policy": _by_sid(self.onboarding.key_policy(key)),
            "tags": _sorted(self.kms.list_resource_tags(KeyId=key)["Tags"]),
            "rotation": (rotation["KeyRotationEnabled"], rotation.get("RotationPeriodInDays")),
            "grants": _sorted(grants),
        }

    def _secret(self, secret: str) -> Detail:
        found = self.secretsmanager.describe_secret(SecretId=secret)
        return {
            "key": found["KmsKeyId"],
            "tags": _sorted(found["Tags"]),
            "versions": found["VersionIdsToStages"],
            "value": self.secretsmanager.get_secret_value(SecretId=secret)["SecretString"],
            "policy": _by_sid(self.onboarding.secret_policy(secret)),
        }

    def _role(self, name: str) -> Detail:
        role, inline = self.iam.get_role(RoleName=name)["Role"], self.iam.list_role_policies(RoleName=name)["PolicyNames"]
        return {
            "trust": in_order(role["AssumeRolePolicyDocument"]),
            "policies": {
                one: in_order(self.iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"]) for one in inline
            },
            "boundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
            # A role that is created again has the tag of the repair.
            "tags": _sorted([tag for tag in role.get("Tags", []) if tag["Key"] != "latchkey:request"]),
        }

    def is_read(self, consumer: ConsumerResource) -> bool:
        """Whether the consumer accepts the token of its secret, and nothing else."""
        value = self.secretsmanager.get_secret_value(SecretId=self.made[consumer.system]["secretArn"])["SecretString"]
        answers = [fetch(consumer.url(), consumer.header, token) for token in (consumer.token(value), "other")]
        return answers == [200, 403]


def _ids(page: Detail) -> list[str]:
    return [key["KeyArn"] for key in page["Keys"]]


def _plain(answer: Detail) -> Detail:
    return {name: value for name, value in answer.items() if name not in ("ResponseMetadata", "LastModifiedTime", "ModifiedAt")}


def _sorted(values: list[Any]) -> list[Any]:
    return sorted(values, key=lambda one: json.dumps(one, sort_keys=True))


def _by_sid(policy: Detail) -> list[Detail]:
    return _sorted([in_order(one) for one in policy.get("Statement", [])])


def _altered(statement: Detail, sid: str, action: str) -> Detail:
    """The statement, with another action if it has this Sid."""
    return statement | ({"Action": action} if statement["Sid"] == sid else {})


def _outdated(statement: Detail, secret: str) -> Detail:
    """The statement for the secrets as version 0.1.0 wrote it: with the ARN of each secret."""
    if statement["Sid"] != "LatchkeySecretDecryption":
        return statement
    condition = json.loads(json.dumps(statement["Condition"]))
    condition["StringLike"]["kms:EncryptionContext:SecretARN"] = [f"{secret[:-6]}??????"]
    return statement | {"Condition": condition}


def notices(onboarding: Onboarding, access_id: str) -> list[str]:
    """The detail types of the events about an access that no request asked for."""
    return [event["detail-type"] for event in details_of(onboarding, access_id)]


def details_of(onboarding: Onboarding, access_id: str) -> list[Detail]:
    events = [event for event in onboarding.outcomes.all() if event["detail"].get("accessId") == access_id]
    return [event for event in events if event["detail-type"] in NOTICES]


def test_every_kind_is_found_in_an_audit_and_repaired_after_a_storm_without_touching_anything_else(clean_ups: CleanUps) -> None:
    damaged = Damaged(clean_ups)
    onboarding, whole = damaged.onboarding, damaged.state()
    damaged.damage()
    before = damaged.state()

    audited = [reconcile(onboarding) for _ in range(2)]

    assert damaged.state() == before
    assert [(one["observed"], one["unread"], one["drifted"], one["due"]) for one in audited] == [(6, 0, 6, 0)] * 2
    assert {*audited[0]["findings"]} == REPAIRED | {*LEFT}
    seen = onboarding.outcomes.all()
    ids = sorted({event["detail"]["accessId"] for event in seen if event["detail-type"] == "Access Onboarded"})
    reported = {one: notices(onboarding, one) for one in ids}
    assert all(len(kinds) == len({*kinds}) for kinds in reported.values())
    repairs = parameter(onboarding, "ReconcileAccess", REMEDIATION_MODE="repair")
    with repairs, parameter(onboarding, "DecideRepairs", MAX_REPAIRS="5"):
        storm = reconcile(onboarding)
        assert (storm["due"], storm["storm"], storm["repaired"]) == (6, True, 0)
        assert damaged.state() == before
        outcome = reconcile(onboarding, acknowledgeStorm=True)
        assert (outcome["due"], outcome["storm"], outcome["repaired"], outcome["notRepaired"]) == (6, False, 6, 0)
        assert damaged.state() == whole
        again = reconcile(onboarding)
    assert (again["findings"], again["due"]) == (LEFT, 0)
    assert all(clean_ups.reads(one) for one in damaged.locations)
    assert all(damaged.is_read(one) for one in damaged.consumers.values())
    corrected = set[str]()
    for access_id in ids:
        repaired = [event["detail"] for event in details_of(onboarding, access_id) if event["detail-type"] == "Drift Repaired"]
        [detail] = repaired
        validator("drift-repaired").validate(detail)
        assert detail["status"] == "active"
        assert {one["kind"] for one in detail["remaining"]} <= {*LEFT}
        assert notices(onboarding, access_id) == [*reported[access_id], "Drift Repaired"]
        assert {check["passed"] for check in detail["checks"]} == {True}
        corrected |= {one["kind"] for one in detail["findings"]}
    assert corrected == REPAIRED


def _item(onboarding: Onboarding, access_id: str) -> tuple[Any, str, Detail]:
    dynamodb = onboarding.aws.client("dynamodb")
    [table] = [name for name in dynamodb.list_tables()["TableNames"] if "AccessTable" in name]
    return dynamodb, table, {"kind": {"S": "finding"}, "id": {"S": access_id}}


def date_attempts(onboarding: Onboarding, access_id: str, *hours_ago: int) -> None:
    """Dates the last repair of an access back, and records others of the same kind, started so many hours ago."""
    dynamodb, table, key = _item(onboarding, access_id)
    known = json.loads(dynamodb.get_item(TableName=table, Key=key)["Item"]["attempts"]["S"])
    times = [(datetime.now(UTC) - timedelta(hours=ago)).isoformat(timespec="milliseconds") for ago in hours_ago]
    kinds = ["key-statement-missing"]
    # The first name is that of the repair that has recorded the access.
    names = [*known, *(f"repair-{number}" for number in range(len(times)))][: len(times)]
    attempts = {name: {"at": at, "kinds": kinds} for name, at in zip(names, times, strict=True)}
    values = {":attempts": {"S": json.dumps(dict(sorted(attempts.items())))}, ":none": {"S": "{}"}}
    dynamodb.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET attempts = :attempts, flapping = :none",
        ExpressionAttributeValues=values,
    )


def lose_management(clean_ups: CleanUps, access: Access) -> None:
    policy = clean_ups.onboarding.key_policy(access.key)
    kept = [one for one in policy["Statement"] if one["Sid"] != MANAGEMENT]
    clean_ups.kms.put_key_policy(KeyId=access.key, PolicyName="default", Policy=json.dumps(policy | {"Statement": kept}))


def test_what_comes_back_three_times_in_a_day_is_left_alone_and_foreign_failures_hold_up_nothing(clean_ups: CleanUps) -> None:
    onboarding = clean_ups.onboarding
    [access] = clean_ups.onboard(onboarding.detail(remediation="repair"))
    everyone = THEIRS | {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue"}
    policy = onboarding.secret_policy(access.secret)
    public = policy | {"Statement": [*policy["Statement"], everyone]}
    clean_ups.secretsmanager.put_resource_policy(SecretId=access.secret, ResourcePolicy=json.dumps(public))
    lose_management(clean_ups, access)
    damaged = onboarding.key_policy(access.key)

    # With a foreign statement that fails a check, which is reported and stays.
    first = reconcile(onboarding)
    assert first["repaired"] == 1
    repaired = details_of(onboarding, access.access_id)[-1]
    assert (repaired["detail-type"], [one["kind"] for one in repaired["detail"]["remaining"]]) == (
        "Drift Repaired",
        ["secret-policy-public"],
    )
    assert [one["name"] for one in repaired["detail"]["checks"] if not one["passed"]] == ["secret policy is not public"]
    assert everyone in onboarding.secret_policy(access.secret)["Statement"]

    # Three repairs in a day.
    lose_management(clean_ups, access)
    date_attempts(onboarding, access.access_id, 1, 2, 3)
    left = reconcile(onboarding)
    assert (left["flapping"], left["due"], left["repaired"]) == (1, 0, 0)
    assert _by_sid(onboarding.key_policy(access.key)) == _by_sid(damaged)

    # The same repairs, one of them longer ago.
    date_attempts(onboarding, access.access_id, 1, 2, 25)
    assert reconcile(onboarding)["repaired"] == 1


def test_a_read_that_is_throttled_or_has_short_pages_is_no_finding(clean_ups: CleanUps) -> None:
    onboarding, aws = clean_ups.onboarding, clean_ups.aws
    [access] = clean_ups.onboard(onboarding.detail(remediation="repair"))
    aws.control("PUT", "assumptions", {"emptyPages": True})

    short = reconcile(onboarding)
    # The inventory reads keys, grants and lists. The policy of a secret is read for each access.
    throttled = {"service": "secretsmanager", "operation": "GetResourcePolicy", "error": "ThrottlingException", "lasting": True}
    aws.control("POST", "faults", throttled | {"caller": "latchkey-ReconcileAccess"})
    unread = reconcile(onboarding)
    met = aws.control("GET", "faults")

    assert (short["observed"], short["unread"], short["findings"], short["due"]) == (1, 0, {}, 0)
    assert (unread["observed"], unread["unread"], unread["findings"], unread["due"]) == (0, 1, {}, 0)
    assert met
    assert notices(onboarding, access.access_id) == []


def test_a_repair_that_is_stopped_is_rolled_back_and_the_next_reconciliation_repairs(clean_ups: CleanUps) -> None:
    """What happens in an account if somebody stops the execution, or it times out: end-request finishes it."""
    onboarding, aws = clean_ups.onboarding, clean_ups.aws
    [access] = clean_ups.onboard(onboarding.detail(remediation="repair"))
    whole = _by_sid(onboarding.key_policy(access.key))
    onboarding.settle()
    lose_management(clean_ups, access)
    hold = {"service": "kms", "operation": "PutKeyPolicy", "caller": "latchkey-AttachPolicies", "error": "hold"}
    aws.control("POST", "faults", hold)
    request = {"requestId": f"reconcile-{uuid.uuid4().hex[:12]}"}
    onboarding.put(request, "Reconciliation Requested")
    until(lambda: aws.control("GET", "faults"), "the held repair")
    [running] = onboarding.executions("Onboard", statusFilter="RUNNING")

    aws.client("stepfunctions").stop_execution(executionArn=running["executionArn"])
    aws.control("DELETE", "held")
    outcome = onboarding.outcomes.wait_for(request["requestId"], 120)["detail"]
    aws.control("DELETE", "faults")

    assert (outcome["due"], outcome["repaired"], outcome["notRepaired"]) == (1, 0, 1)
    until(lambda: notices(onboarding, access.access_id)[-1:] == ["Drift Not Repaired"], "the report of end-request", 120)
    onboarding.settle()
    again = reconcile(onboarding)
    assert again["due"] == again["repaired"]
    assert _by_sid(onboarding.key_policy(access.key)) == whole


# The functions of a reconciliation and of a repair, in their order.
STEPS = (
    "TakeInventory",
    "SweepGrants",
    "ReconcileAccess",
    "DecideRepairs",
    "CheckRequest",
    "CreateKey",
    "CreateSecret",
    "AttachPolicies",
    "ConfigureAccess",
    "ValidateAccess",
    "RecordAccess",
    "ReportOutcome",
)


@pytest.mark.parametrize(("error", "when"), [("killed", "before"), ("InternalFailure", "after")])
def test_every_step_is_started_again_after_its_function_died(clean_ups: CleanUps, error: str, when: str) -> None:
    """test_reconciliation_faults fails each call of each function. Here the state machines start the functions again."""
    onboarding, aws = clean_ups.onboarding, clean_ups.aws
    [access] = clean_ups.onboard(onboarding.detail(remediation="repair"))
    whole = _by_sid(onboarding.key_policy(access.key))
    onboarding.settle()
    lose_management(clean_ups, access)
    for step in STEPS:
        aws.control("POST", "faults", {"caller": f"/latchkey-{step}Function", "error": error, "status": 500, "when": when})

    outcome = reconcile(onboarding)
    met = aws.control("GET", "faults")

    assert (outcome["due"], outcome["repaired"], outcome["notRepaired"]) == (1, 1, 0)
    assert len({fault["principal"] for fault in met}) == len(STEPS)
    assert notices(onboarding, access.access_id) == ["Drift Detected", "Drift Repaired"]
    assert _by_sid(onboarding.key_policy(access.key)) == whole
