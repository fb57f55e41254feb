"""After planned calls, reads return what they return after the same calls were made."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from latchkey.aws import clients
from latchkey.aws.clients import Clients
from latchkey.aws.keys import find_key, key_policy, list_aliases, rotation_days
from latchkey.aws.planned import PlannedChanges
from latchkey.aws.roles import find_role
from latchkey.aws.secrets import find_secret, list_secrets, secret_policy, version_keys
from latchkey.errors import LatchkeyError
from latchkey.settings import settings
from tests.functions.account import Account
from tests.functions.onboarding_steps import policy

ALLOW = {
    "Sid": "One",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
    "Action": "kms:*",
    "Resource": "*",
}
READING = ALLOW | {"Action": "secretsmanager:GetSecretValue"}
INLINE = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}

type Act = Callable[[Clients, "Things"], object]


class Things:
    """A key, a secret with two versions, and a role with an inline policy."""

    def __init__(self, account: Account) -> None:
        self.key, self.other_key = account.key(), account.key(alias="alias/one")
        self.secret = account.secret("one/token", "{}")
        self.first = next(iter(self.stages(account)))
        account.secretsmanager.put_secret_value(SecretId=self.secret, SecretString="{}", ClientRequestToken="2" * 32)
        account.role("Reader")
        account.iam.put_role_policy(RoleName="Reader", PolicyName="Inline", PolicyDocument=policy(INLINE))
        self.role = "Reader"

    def stages(self, account: Account) -> dict[str, list[str]]:
        found: dict[str, list[str]] = account.secretsmanager.describe_secret(SecretId=self.secret)["VersionIdsToStages"]
        return found


@pytest.fixture
def things(account: Account) -> Things:
    return Things(account)


@pytest.fixture
def changes() -> PlannedChanges:
    return PlannedChanges(settings().place, clients.standard_clients())


def put_value(at: Clients, things: Things, stage: str) -> object:
    return at.secretsmanager.put_secret_value(
        SecretId=things.secret, SecretString="{}", ClientRequestToken="3" * 32, VersionStages=[stage]
    )


def promote(at: Clients, things: Things) -> object:
    put_value(at, things, "AWSPENDING")
    return at.secretsmanager.update_secret_version_stage(
        SecretId=things.secret, VersionStage="AWSCURRENT", MoveToVersionId="3" * 32, RemoveFromVersionId="2" * 32
    )


def put_inline(at: Clients, things: Things) -> object:
    return at.iam.put_role_policy(RoleName=things.role, PolicyName="New", PolicyDocument=policy(INLINE))


def delete_role(at: Clients, things: Things) -> object:
    at.iam.delete_role_policy(RoleName=things.role, PolicyName="Inline")
    return at.iam.delete_role(RoleName=things.role)


ACTS: dict[str, Act] = {
    "a key policy": lambda at, on: at.kms.put_key_policy(KeyId=on.key, PolicyName="default", Policy=policy(ALLOW)),
    "a rotation period": lambda at, on: at.kms.enable_key_rotation(KeyId=on.key, RotationPeriodInDays=180),
    "an alias": lambda at, on: at.kms.create_alias(AliasName="alias/two", TargetKeyId=on.key),
    "a deleted alias": lambda at, on: at.kms.delete_alias(AliasName="alias/one"),
    "the deletion of a key": lambda at, on: at.kms.schedule_key_deletion(KeyId=on.key, PendingWindowInDays=30),
    "a secret policy": lambda at, on: at.secretsmanager.put_resource_policy(SecretId=on.secret, ResourcePolicy=policy(READING)),
    "another key of a secret": lambda at, on: at.secretsmanager.update_secret(SecretId=on.secret, KmsKeyId=on.key),
    "a pending version": lambda at, on: put_value(at, on, "AWSPENDING"),
    "a current version": lambda at, on: put_value(at, on, "AWSCURRENT"),
    "a promoted version": promote,
    "the deletion of a secret": lambda at, on: at.secretsmanager.delete_secret(SecretId=on.secret, RecoveryWindowInDays=7),
    "an inline policy": lambda at, on: at.iam.put_role_policy(
        RoleName=on.role, PolicyName="New", PolicyDocument=policy(INLINE)
    ),
    "a deleted role": delete_role,
}


def seen(at: Clients, things: Things) -> dict[str, Any]:
    """What the package reads about the things."""
    key, secret = find_key(at.kms, things.key), find_secret(at.secretsmanager, things.secret)
    assert key
    assert secret
    is_kept = not secret.is_being_deleted
    return {
        "key": key.state,
        "aliases": [find_key(at.kms, alias) is not None for alias in ("alias/one", "alias/two")],
        "policy of the key": json.dumps(key_policy(at.kms, things.key)),
        # moto returns the same period for every key.
        "rotation": key.state == "Enabled" and rotation_days(at.kms, things.key) is not None,
        "secret": (secret.kms_key_id, is_kept),
        "labels": {one: labels for one, labels in secret.stages.items() if labels and is_kept},
        "policy of the secret": secret_policy(at.secretsmanager, things.secret) if is_kept else None,
        "role": find_role(at.iam, things.role) is not None,
    }


@pytest.mark.parametrize("act", ACTS)
def test_planned_and_made_calls_are_read_alike(account: Account, changes: PlannedChanges, things: Things, act: str) -> None:
    before = account.snapshot()
    planned = changes.clients("role")
    ACTS[act](planned, things)
    expected = seen(planned, things)
    assert account.snapshot() == before

    ACTS[act](clients.standard_clients(), things)

    assert seen(clients.standard_clients(), things) == expected


@pytest.mark.parametrize(
    ("act", "kind"), [("a deleted alias", "alias"), ("the deletion of a key", "key"), ("a deleted role", "role")]
)
def test_what_is_removed_has_no_state_afterwards(changes: PlannedChanges, things: Things, act: str, kind: str) -> None:
    ACTS[act](changes.clients("role"), things)

    [found] = [resource for resource in changes.resources if resource.kind == kind]
    assert found.before is not None
    assert found.after is None


def test_a_restored_secret_is_no_longer_scheduled_for_deletion(
    account: Account, changes: PlannedChanges, things: Things
) -> None:
    account.secretsmanager.delete_secret(SecretId=things.secret, RecoveryWindowInDays=7)
    planned = changes.clients("role").secretsmanager

    planned.restore_secret(SecretId=things.secret)

    found = [find_secret(planned, one) for one in (things.secret, "one/token")]
    listed = [one for one in list_secrets(planned) if one.arn == things.secret]
    assert [one.is_being_deleted for one in [*found, *listed] if one] == [False, False, False]
    assert "DeletedDate" in account.secretsmanager.describe_secret(SecretId=things.secret)


def test_lists_show_moved_and_deleted_secrets_and_new_and_deleted_aliases(changes: PlannedChanges, things: Things) -> None:
    planned = changes.clients("role")
    planned.secretsmanager.update_secret(SecretId=things.secret, KmsKeyId=things.key)
    planned.kms.create_alias(AliasName="alias/two", TargetKeyId=things.key)
    planned.kms.delete_alias(AliasName="alias/one")

    assert [one.kms_key_id for one in list_secrets(planned.secretsmanager)] == [things.key]
    assert [{*keys} for keys in version_keys(planned.secretsmanager, things.secret)] == [{things.key}, {things.key}]
    assert (list_aliases(planned.kms, things.key), list_aliases(planned.kms, things.other_key)) == (("alias/two",), ())
    planned.secretsmanager.delete_secret(SecretId=things.secret, RecoveryWindowInDays=7)
    assert [one.is_being_deleted for one in list_secrets(planned.secretsmanager)] == [True]


def test_a_revoked_grant_is_removed(changes: PlannedChanges, things: Things) -> None:
    changes.clients("role").kms.revoke_grant(KeyId=things.key, GrantId="1" * 64)

    [grant] = changes.resources
    assert (grant.kind, grant.name, grant.after) == ("grant", "1" * 64, None)


def test_nothing_is_changed_after_its_removal(changes: PlannedChanges, things: Things) -> None:
    planned = changes.clients("role")
    delete_role(planned, things)

    with pytest.raises(LatchkeyError, match="after its removal"):
        planned.iam.put_role_policy(RoleName=things.role, PolicyName="New", PolicyDocument=policy(INLINE))
    with pytest.raises(ClientError, match="NoSuchEntity"):
        planned.iam.get_role(RoleName=things.role)


def test_each_call_is_recorded_with_its_role(changes: PlannedChanges, things: Things) -> None:
    put_value(changes.clients("storing"), things, "AWSPENDING")
    delete_role(changes.clients("removing"), things)

    assert [(call.role, call.service, call.operation) for call in changes.calls] == [
        ("storing", "secretsmanager", "PutSecretValue"),
        ("removing", "iam", "DeleteRolePolicy"),
        ("removing", "iam", "DeleteRole"),
    ]
