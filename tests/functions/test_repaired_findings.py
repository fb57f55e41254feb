"""Reconciliation and repair of each kind of finding: what is Latchkey's is right again, and everything else is as it was."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from latchkey.access.findings import CATALOG, FindingKind
from latchkey.aws import clients
from latchkey.errors import AccessNotEffective
from latchkey.registry import registry
from tests.functions.account import ACCOUNT, DATA_BUCKET, Account
from tests.functions.clean_up_steps import GRANT, grants, onboarded
from tests.functions.fault_injection import at_call
from tests.functions.onboarding_requests import PARTNER, Run, role_name_of
from tests.functions.onboarding_steps import Onboarding, key_statements, policy, secret_statements
from tests.functions.repair_steps import Repair
from tests.functions.test_findings import ANYTHING, CASES, KIND, MANAGEMENT, READ, ROLE, STRANGER, TAILOR, found, recorded
from tests.functions.test_reconciliation import decide, lines_of, reconcile

THEIRS = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "kms:ReplicateKey", "Resource": "*"}
REPAIRED = [kind for kind, facts in CATALOG.items() if facts.remediation == "repair"]


@pytest.fixture(autouse=True)
def there(account: Account, stack: Callable[..., None]) -> None:
    account.open_bus()
    account.add_resources()
    clients.s3().create_bucket(Bucket=DATA_BUCKET)
    trusted = f"arn:aws:iam::{ACCOUNT}:role/*"
    parameters = {"ALLOWED_PARTNER_ACCOUNTS": PARTNER, "ALLOWED_ORIGIN_HOSTS": "*", "TRUSTED_PRINCIPAL_PATTERNS": trusted}
    stack(**parameters, REMEDIATION_MODE="repair")


def access_of(run: Run, account: Account, kind: FindingKind) -> Onboarding:
    """An access of the system in which the kind is created by hand."""
    rotation = {"key": {"rotationDays": 365}} if kind is KIND.KEY_ROTATION_PERIOD else {}
    system = CASES[kind][0]
    access = onboarded(run, account, **rotation) if system == TAILOR else recorded(run, account, system)
    # KMS returns the same grant for the same name and parameters; moto creates another one.
    account.mediatailor.at_update = lambda: (
        None if grants(account, access.key) else account.grant(access.key, GRANT, access.secret)
    )
    return access


def rotate_every(days: int) -> None:
    """Lets KMS return the period of the last EnableKeyRotation, and this one until then. moto returns none."""
    periods = [days]

    def note(params: dict[str, Any], **_: Any) -> None:
        periods.append(params["RotationPeriodInDays"])

    def show(parsed: dict[str, Any], **_: Any) -> None:
        parsed["RotationPeriodInDays"] = periods[-1]

    for client in (clients.client_for("kms"), clients.client_for_without_retries("kms")):
        client.meta.events.register_first("provide-client-params.kms.EnableKeyRotation", note)
        client.meta.events.register_first("after-call.kms.GetKeyRotationStatus", show)


def damage(account: Account, access: Onboarding, *kinds: FindingKind) -> None:
    for kind in kinds:
        if kind is KIND.KEY_ROTATION_PERIOD:
            rotate_every(100)
        else:
            CASES[kind][1](account, access)
    if KIND.ROLE_REPLACED in kinds:
        # The case creates the role without our tags, and Latchkey does not change such a role.
        tags = {"latchkey:managed-by": "latchkey", "latchkey:stack": "latchkey", "latchkey:access": access.checked["accessId"]}
        pairs = [{"Key": name, "Value": value} for name, value in tags.items()]
        account.iam.tag_role(RoleName=role_name_of(ROLE), Tags=pairs)


def due(run: Run, access: Onboarding) -> list[dict[str, Any]]:
    """Reconciles the access, and returns the inputs of the repairs that start."""
    access_id = access.checked["accessId"]
    assert reconcile(run, access_id)["unread"] == []
    return lines_of(decide(run, None, access_id)["key"])


def repair(run: Run, access: Onboarding) -> Repair:
    [line] = due(run, access)
    return Repair(run, line)


def notices(account: Account) -> Iterator[dict[str, Any]]:
    return (event for event in account.published() if event["detail-type"].startswith("Drift"))


def foreign(account: Account, access: Onboarding) -> dict[str, Any]:
    """What is not Latchkey's: the statements of others, and everything that no access uses."""
    seen = account.snapshot()
    return {
        "key policy": [one for one in key_statements(account, access.key) if not one["Sid"].startswith("Latchkey")],
        "secret policy": [one for one in secret_statements(account, access.secret) if not one["Sid"].startswith("Latchkey")],
        "keys": {arn: key for arn, key in seen["keys"].items() if arn != access.key},
        "tags": seen["keys"][access.key]["tags"],
        "secrets": {arn: secret for arn, secret in seen["secrets"].items() if arn != access.secret},
        "value": seen["secrets"][access.secret]["value"],
        "aliases": seen["aliases"],
    }


@pytest.mark.parametrize("kind", REPAIRED)
def test_each_kind_is_repaired_and_nothing_foreign_changes(run: Run, account: Account, kind: FindingKind) -> None:
    access = access_of(run, account, kind)
    account.secret("theirs/token", "{}")
    account.key(tags={})
    damage(account, access, kind)
    statements = [*key_statements(account, access.key), THEIRS]
    account.kms.put_key_policy(KeyId=access.key, PolicyName="default", Policy=policy(*statements))
    before = foreign(account, access)

    result = repair(run, access).carry_out()

    assert result == "Drift Repaired"
    assert found(run, access) == []
    assert foreign(account, access) == before
    assert THEIRS in key_statements(account, access.key)
    [repaired] = (event["detail"] for event in account.published() if event["detail-type"] == "Drift Repaired")
    assert [one["kind"] for one in repaired["findings"]] == [kind.value]


@pytest.mark.parametrize("kind", REPAIRED)
def test_an_audit_changes_nothing(run: Run, account: Account, stack: Callable[..., None], kind: FindingKind) -> None:
    stack(REMEDIATION_MODE="audit")
    access = access_of(run, account, kind)
    damage(account, access, kind)
    before = account.snapshot()

    assert due(run, access) == []

    assert account.snapshot() | {"table": []} == before | {"table": []}


# What a repair leaves as it is, with something that it corrects in an access of the same system.
LEFT = {
    KIND.SECRET_POLICY_PUBLIC: KIND.KEY_STATEMENT_MISSING,
    KIND.SECRET_POLICY_ADMITS_OTHERS: KIND.KEY_STATEMENT_MISSING,
    KIND.SECRET_REPLICA_DIVERGED: KIND.KEY_ROTATION_OFF,
    KIND.ROLE_FOREIGN_POLICY: KIND.ROLE_BOUNDARY_CHANGED,
    KIND.ROLE_CANNOT_READ: KIND.KEY_ROTATION_OFF,
    KIND.GRANT_STALE: KIND.RESOURCE_OTHER_HEADER,
    KIND.GRANT_DUPLICATE: KIND.KEY_STATEMENT_ALTERED,
    KIND.GRANT_WIDER_OPERATIONS: KIND.KEY_STATEMENT_MISSING,
    KIND.GRANT_UNKNOWN_PRINCIPAL: KIND.KEY_STATEMENT_MISSING,
    KIND.RESOURCE_OPEN: KIND.KEY_ROTATION_OFF,
    KIND.RESOURCE_ALERT: KIND.KEY_STATEMENT_MISSING,
}


def test_every_kind_that_a_repair_leaves_has_a_case() -> None:
    others = {kind for kind, facts in CATALOG.items() if facts.remediation != "repair" and not facts.blocks_repair}

    assert {*LEFT} == others - {KIND.RESOURCE_UNRECORDED}


@pytest.mark.parametrize("kind", LEFT)
def test_a_repair_passes_with_what_it_does_not_correct_and_reports_it(run: Run, account: Account, kind: FindingKind) -> None:
    access = access_of(run, account, kind)
    # In the other order, the case of a policy would replace the one before.
    damage(account, access, LEFT[kind], kind)
    before, theirs = foreign(account, access), {one["kind"] for one in found(run, access)} - {LEFT[kind].value}
    resources, roles = account.resources(), account.snapshot()["roles"]

    execution = repair(run, access)
    result = execution.carry_out()

    assert result == "Drift Repaired", execution.error
    assert {one["kind"] for one in found(run, access)} == theirs
    assert foreign(account, access) == before
    if kind is KIND.RESOURCE_OPEN:
        assert (account.resources(), account.snapshot()["roles"]) == (resources, roles)
    [repaired] = [event["detail"] for event in account.published() if event["detail-type"] == "Drift Repaired"]
    assert {one["kind"] for one in repaired["remaining"]} == theirs
    assert kind.value in theirs
    # What was reported before is not reported again, and the access is not handed off.
    assert [*reconcile(run, access.checked["accessId"], execution=f"{execution.execution}-2")["published"]] == []
    assert registry().accesses.to_confirm(access.checked["accessId"]) is not None
    record = registry().accesses.get(access.checked["accessId"])
    assert record
    assert record.reached == "active"


@pytest.mark.parametrize(
    "kinds",
    [
        (KIND.SECRET_STATEMENT_MISSING, KIND.SECRET_POLICY_PUBLIC),
        (KIND.KEY_STATEMENT_MISSING, KIND.SECRET_POLICY_EXCLUDES_READER),
    ],
)
def test_nothing_is_repaired_that_the_rules_would_reject(run: Run, account: Account, kinds: tuple[FindingKind, ...]) -> None:
    access = onboarded(run, account)
    if kinds[0] is KIND.SECRET_STATEMENT_MISSING:
        document = policy(READ | {"Principal": "*"})
        account.secretsmanager.put_resource_policy(SecretId=access.secret, ResourcePolicy=document)
    else:
        damage(account, access, *kinds)
    assert {one["kind"] for one in found(run, access)} == {kind.value for kind in kinds}

    assert due(run, access) == []


def test_what_was_right_before_the_repair_must_be_right_afterwards(run: Run, account: Account) -> None:
    """Somebody adds a policy to the role during the repair. The repair does not know whether that is its own doing."""
    access = access_of(run, account, KIND.ROLE_BOUNDARY_CHANGED)
    damage(account, access, KIND.ROLE_BOUNDARY_CHANGED)
    execution = repair(run, access)
    add = {"RoleName": role_name_of(ROLE), "PolicyName": "Theirs", "PolicyDocument": policy(ANYTHING)}
    at_call("iam", "PutRolePermissionsBoundary", lambda: account.iam.put_role_policy(**add), when="after-call")

    result = execution.carry_out()

    assert (result, type(execution.error)) == ("Drift Not Repaired", AccessNotEffective)
    assert {one["kind"] for one in found(run, access)} >= {"role-foreign-policy"}


def test_an_access_that_stays_revoked_is_recorded_and_reported_as_such_once(run: Run, account: Account) -> None:
    """Somebody denies the reader role everything. The repair corrects the rest."""
    access = access_of(run, account, KIND.ROLE_FOREIGN_POLICY)
    access_id = access.checked["accessId"]
    damage(account, access, KIND.KEY_ROTATION_OFF, KIND.ROLE_TRUST_CHANGED)
    assert reconcile(run, access_id, execution=f"{access.execution}-0")["published"] == ["Access Revoked", "Drift Detected"]
    account.simulator.refused = {"secretsmanager:GetSecretValue"}
    damage(account, access, KIND.ROLE_FOREIGN_POLICY)

    assert repair(run, access).carry_out() == "Drift Repaired"

    record = registry().accesses.get(access_id)
    assert record
    assert (record.status, record.reached) == ("revoked", "active")
    [repaired] = [event["detail"] for event in account.published() if event["detail-type"] == "Drift Repaired"]
    assert repaired["status"] == "revoked"
    account.simulator.refused = set()
    account.iam.delete_role_policy(RoleName=role_name_of(ROLE), PolicyName="Theirs")
    assert reconcile(run, access_id, execution=f"{access.execution}-3")["published"] == ["Access Restored"]


def test_a_repair_that_fails_leaves_what_the_access_needs(run: Run, account: Account) -> None:
    """The statement can have its former or its present form after the rollback: the access works with both."""
    access = access_of(run, account, KIND.KEY_STATEMENT_OUTDATED)
    damage(account, access, KIND.KEY_STATEMENT_OUTDATED)
    execution = repair(run, access)
    at_call("kms", "PutKeyPolicy", lambda: account.kms.disable_key(KeyId=access.key.rpartition("/")[2]), when="after-call")

    assert execution.carry_out() == "Drift Not Repaired"

    account.kms.enable_key(KeyId=access.key.rpartition("/")[2])
    assert {one["kind"] for one in found(run, access)} <= {"key-statement-outdated"}


def test_the_statements_of_another_tenant_stay_as_they_are(run: Run, account: Account) -> None:
    """The policies have statements with our Sids that name principals of another tenant, which this registry does not know."""
    access = access_of(run, account, KIND.KEY_STATEMENT_ALTERED)
    own = {one["Sid"]: one for one in key_statements(account, access.key)}[MANAGEMENT]
    of_other = own | {"Principal": {"AWS": [STRANGER]}}
    kept = [one for one in key_statements(account, access.key) if one["Sid"] != MANAGEMENT]
    account.kms.put_key_policy(KeyId=access.key, PolicyName="default", Policy=policy(*kept, of_other, THEIRS))
    readers = [*secret_statements(account, access.secret), READ | {"Sid": "LatchkeyOther", "Principal": {"AWS": STRANGER}}]
    account.secretsmanager.put_resource_policy(SecretId=access.secret, ResourcePolicy=policy(*readers))

    assert repair(run, access).carry_out() == "Drift Repaired"

    merged = {one["Sid"]: one for one in key_statements(account, access.key)}
    assert {*merged[MANAGEMENT]["Principal"]["AWS"]} == {STRANGER, *_names(own)}
    assert merged[MANAGEMENT] | {"Principal": None} == own | {"Principal": None}
    assert merged["Theirs"] == THEIRS
    assert secret_statements(account, access.secret) == readers


def _names(statement: dict[str, Any]) -> list[str]:
    named = statement["Principal"]["AWS"]
    return [named] if isinstance(named, str) else named
