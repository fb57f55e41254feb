"""Policies that several accesses share: how they are read and written, and the removal of our statements from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from latchkey import policies
from latchkey.aws.errors import locks_out
from latchkey.aws.keys import key_policy
from latchkey.aws.principals import new_principals_settle
from latchkey.aws.secrets import secret_policy
from latchkey.errors import Conflict
from latchkey.policies import Document, Statement
from latchkey.registry import Registry
from latchkey.removal.removal import Removal

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


_LOCKED_OUT = (
    "KMS does not accept the policy of {key}, because it does not count the IAM policies of its writers: "
    "add a statement that allows {roles} the action kms:PutKeyPolicy"
)
# Sids of statements that are never removed: the creator of the key, and the readers of a secret that left the default key.
# Versions of the secret stay under the key, so they must be able to decrypt it.
PERMANENT_SIDS = ("LatchkeyCreation", "LatchkeyFormerDefaultKey")


@dataclass(frozen=True)
class SharedPolicy:
    """The policy of one key or secret."""

    name: str
    limit: int
    read: Callable[[], Document | None]
    write: Callable[[Document], None]


def policy_of_key(key_arn: str, kms: KMSClient, iam: IAMClient, writers: Sequence[str]) -> SharedPolicy:
    """The key policy, which every key has. `writers` are the roles that write it."""

    def write(document: Document) -> None:
        document = _with_writers(document, writers)
        try:
            with new_principals_settle(iam, document):
                kms.put_key_policy(KeyId=key_arn, PolicyName="default", Policy=policies.text_of(document))
        except ClientError as error:
            if locks_out(error):
                raise Conflict(_LOCKED_OUT.format(key=key_arn, roles=" and ".join(writers))) from None
            raise

    return SharedPolicy(f"policy of {key_arn}", policies.KEY_POLICY_LIMIT, lambda: key_policy(kms, key_arn), write)


def _with_writers(document: Document, writers: Sequence[str]) -> Document:
    """The document with all writers of the policy in our statement for them, if there is one.

    Keys of earlier versions do not name the roles that were added since.
    """
    creation = policies.creation(writers)
    is_named = any(statement["Sid"] == creation["Sid"] for statement in policies.own_statements(document))
    return policies.merge(document, [creation]) if is_named else document


def policy_of_secret(secret_arn: str, secretsmanager: SecretsManagerClient, iam: IAMClient) -> SharedPolicy:
    """The resource policy of a secret, which is deleted with its last statement."""

    def write(document: Document) -> None:
        if document["Statement"]:
            text = policies.text_of(document)
            with new_principals_settle(iam, document):
                secretsmanager.put_resource_policy(SecretId=secret_arn, ResourcePolicy=text, BlockPublicPolicy=True)
        else:
            secretsmanager.delete_resource_policy(SecretId=secret_arn)

    return SharedPolicy(
        f"policy of {secret_arn}", policies.SECRET_POLICY_LIMIT, lambda: secret_policy(secretsmanager, secret_arn), write
    )


def remove_key_statements(
    removal: Removal, key_arn: str, statements: Sequence[Statement], noted: str, *, kept: Sequence[str] = ()
) -> None:
    """Removes statements of the access from a key policy, except for what this or other accesses still need.

    `noted` is the step that is recorded before the policy is written. The Sids in `kept` stay.
    """
    remove_from(
        policy_of_key(key_arn, removal.clients.kms, removal.clients.iam, removal.settings.key_writers),
        statements,
        removal.needed(key_arn, lambda desired: desired.known_key_statements),
        removal.registry,
        lambda: removal.note(noted),
        kept=(*PERMANENT_SIDS, *kept),
    )


def remove_secret_statements(removal: Removal, secret_arn: str, statements: Sequence[Statement], noted: str) -> None:
    """Removes statements of the access from the policy of a secret, except for what this or other accesses still need."""
    remove_from(
        policy_of_secret(secret_arn, removal.clients.secretsmanager, removal.clients.iam),
        statements,
        removal.needed(removal.desired.secret_resource, lambda desired: desired.secret_statements(secret_arn)),
        removal.registry,
        lambda: removal.note(noted),
    )


def remove_from(
    policy: SharedPolicy,
    statements: Sequence[Statement],
    others: Callable[[], Iterable[Iterable[Statement]]],
    registry: Registry,
    note: Callable[[], None],
    *,
    kept: Sequence[str] = (),
) -> None:
    """Removes `statements` from a policy under a lease, except for what `others` and the Sids in `kept` still need.

    Principals and values that this registry does not know are kept too. `note` is called before the policy is written.
    """
    with registry.lease(policy.name) as lease:
        needed, present = policies.union(others()), policy.read()
        if present is None or lease is None or policies.is_same(_without(present, statements, needed, kept), present):
            return
        note()
        # No call between the last read and the write: a statement that a person adds in between would be lost.
        present = policy.read()
        lease.require()
        if present is not None:
            policy.write(_without(present, statements, needed, kept))


def _without(present: Document, statements: Sequence[Statement], needed: Sequence[Statement], kept: Sequence[str]) -> Document:
    return policies.retain(present, policies.union([needed, policies.beyond(present, statements)]), kept=kept)
