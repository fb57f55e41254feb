"""Schedules the deletion of a key that the request created, or removes the statements of the request from its policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from botocore.exceptions import ClientError

from latchkey import policies
from latchkey.aws.errors import is_missing
from latchkey.aws.keys import ObservedKey, find_key, find_key_by_tags, key_policy
from latchkey.aws.secrets import find_secret
from latchkey.errors import Conflict
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.onboarding.shared_policies import policy_of_key, remove_from
from latchkey.policies import Statement

# The shortest waiting period of KMS. Until it ends, a person can cancel the deletion:
# https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
_WAITING_DAYS = 7
# Sids of statements that are never removed: the creator of the key, and the readers of a secret that left the default key.
# The secret stays under the key, so they must be able to decrypt it.
_PERMANENT_SIDS = ("LatchkeyCreation", "LatchkeyFormerDefaultKey")


def find_key_to_roll_back(rollback: Rollback) -> ObservedKey | None:
    """The key of the request, including one whose alias, or whose CreateKey response, is missing after a crash."""
    desired, alias = rollback.desired, rollback.desired.alias
    noted = rollback.registry.resources.noted_key(alias) if alias else None
    found = find_key(rollback.clients.kms, desired.request.key.arn or alias or "")
    if found is not None or noted is None:
        return found
    if noted.arn:
        return find_key(rollback.clients.kms, noted.arn)
    # A key without an ARN is found by its tag, and only by the request that started to create it.
    return find_key_by_tags(rollback.clients.kms, noted.request_id) if noted.request_id == desired.request.request_id else None


def roll_back_key(rollback: Rollback, key: ObservedKey) -> None:
    """Deletes the key only if no access uses it; otherwise the statements that are still needed stay in its policy."""
    desired, record, resources = rollback.desired, rollback.record, rollback.registry.resources
    alias = desired.alias
    if key.state == "PendingDeletion":
        resources.forget_removed(key.arn)
        return
    in_use = record is not None and record.key_arn == key.arn
    created = desired.made(key.tags) and alias is not None and not _encrypts_secret(rollback, key)
    if created and not in_use and resources.begin_removal(key.arn, desired.access_id):
        rollback.note(f"scheduled {key.arn} for deletion in {_WAITING_DAYS} days")
        _delete_alias(rollback, alias or "")
        rollback.clients.kms.schedule_key_deletion(KeyId=key.arn, PendingWindowInDays=_WAITING_DAYS)
        resources.forget_key(alias or "", key.arn)
        resources.forget(key.arn)
        return
    remaining = rollback.remaining_accesses(key.arn, in_use=in_use)
    _remove_statements(rollback, key, [access.known_key_statements for access in remaining])
    if not in_use:
        resources.release(key.arn, desired.access_id)


def roll_back_partner_key(rollback: Rollback, key: ObservedKey) -> None:
    """Removes the statements of the request from the key of a partner, except for those of partners.

    The partner's data depends on the key. Raises Conflict if the request added a partner, so that a person decides.
    """
    before = rollback.formerly_desired
    former = before.known_key_statements if before else ()
    present = policies.own_statements(key_policy(rollback.clients.kms, key.arn))
    partners = {statement["Sid"] for statement in present if statement["Sid"].startswith(policies.PARTNER_SID)}
    _remove_statements(rollback, key, [former], kept=(*_PERMANENT_SIDS, *partners))
    if partners - {statement["Sid"] for statement in former}:
        raise Conflict(
            f"{key.arn} keeps the partner statements of this request, because a partner's data can depend on them: "
            "remove them by hand after the partner has stopped using the key"
        )


def _remove_statements(
    rollback: Rollback, key: ObservedKey, others: Iterable[Iterable[Statement]], kept: Sequence[str] = _PERMANENT_SIDS
) -> None:
    remove_from(
        policy_of_key(key.arn, rollback.clients.kms),
        rollback.desired.known_key_statements,
        others,
        rollback.registry,
        lambda: rollback.note(f"removed the statements of this request from the policy of {key.arn}"),
        kept=kept,
    )


def _encrypts_secret(rollback: Rollback, key: ObservedKey) -> bool:
    """Whether a secret that the request adopted was moved to the key. It stays there, so the key must stay too."""
    desired = rollback.desired
    if not desired.reads_secret:
        return False
    secret = find_secret(rollback.clients.secretsmanager, desired.existing_secret_arn or desired.secret_name)
    return secret is not None and not secret.is_being_deleted and secret.kms_key_id == key.arn


def _delete_alias(rollback: Rollback, alias: str) -> None:
    try:
        rollback.clients.kms.delete_alias(AliasName=alias)
    except ClientError as error:
        if not is_missing(error):
            raise
