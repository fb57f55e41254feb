"""Schedules the deletion of a key that the request created, or removes the statements of the request from its policy."""

from __future__ import annotations

from collections.abc import Iterable

from botocore.exceptions import ClientError

from latchkey.aws.errors import is_missing
from latchkey.aws.keys import ObservedKey, find_key, find_key_by_tags, list_aliases, rotation_days
from latchkey.events.outcomes import Evidence
from latchkey.onboarding.rollback.evidence import is_own_alias, read_key_evidence
from latchkey.onboarding.rollback.policies import remove_key_statements
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.registry.journal import Entry

# The shortest waiting period of KMS. Until it ends, a person can cancel the deletion:
# https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
_WAITING_DAYS = 7


def roll_back_key(rollback: Rollback, entry: Entry) -> str | None:
    """Deletes the key only if evidence shows that nothing uses it. Otherwise, the key stays, and the sweep tries again.

    If a recorded access now uses the key, the key belongs to that access: only the statements of this request are removed.
    """
    key = _find_created_key(rollback, entry)
    if key is None:
        return None
    if key.state == "PendingDeletion":
        aliases = list_aliases(rollback.clients.kms, key.arn)
        _delete_aliases(rollback, key.arn, [alias for alias in aliases if is_own_alias(rollback, alias, key.arn)])
        _forget(rollback, key.arn)
        return None
    if not rollback.desired.made(key.tags):
        return None  # only a person can have removed the tag, and then the key is theirs
    evidence = _block_references(rollback, key, entry)
    users = evidence if isinstance(evidence, str) else _delete_key(rollback, key.arn, entry, evidence)
    if not users:
        _forget(rollback, key.arn)
        return None
    remove_key_statements(rollback, entry, key.arn, entry.wanted["statements"])
    return None if rollback.is_used_by_records(key.arn) else f"{key.arn} stays, because it is in use ({users})"


def _block_references(rollback: Rollback, key: ObservedKey, entry: Entry) -> Evidence | str:
    """Blocks new references to a key that nothing uses, and returns the evidence.

    If something uses the key, returns what does, and blocks nothing.
    """
    resources = rollback.registry.resources
    if rollback.is_used_by_own_access(key.arn):
        return "another request of this access"
    if not resources.begin_removal(key.arn, rollback.access_id):
        return f"accesses: {', '.join(sorted(resources.others(key.arn, rollback.access_id)))}"
    in_use: str | None = None
    try:
        evidence = read_key_evidence(rollback, key)
        rollback.journal.note_evidence(entry.step, evidence.model_dump(mode="json", by_alias=True))
        in_use = evidence.in_use
    finally:
        # After a failed read as well: an incomplete read decides nothing.
        if in_use != "":
            resources.cancel_removal(key.arn)
    return in_use or evidence


def _delete_key(rollback: Rollback, key_arn: str, entry: Entry, evidence: Evidence) -> str:
    """Deletes the aliases of Latchkey and schedules the deletion of the key.

    If somebody added an alias after the evidence, the key and that alias stay, and the text says so.
    """
    try:
        aliases = list_aliases(rollback.clients.kms, key_arn)
        own = [alias for alias in aliases if is_own_alias(rollback, alias, key_arn)]
        others = set(aliases).difference(own)
        if not others:
            rollback.note(entry, f"scheduled {key_arn} for deletion in {_WAITING_DAYS} days")
            # Aliases first: a request that finds no alias creates its own key.
            # One that finds a key pending deletion is rejected.
            _delete_aliases(rollback, key_arn, own)
            # No call between this read and the deletion: anybody can add an alias at any time.
            others = set(list_aliases(rollback.clients.kms, key_arn)).difference(own)
        if not others:
            rollback.clients.kms.schedule_key_deletion(KeyId=key_arn, PendingWindowInDays=_WAITING_DAYS)
            return ""
    except Exception:
        # If only the response was lost, the key is pending deletion, and the next attempt completes the rollback.
        key = find_key(rollback.clients.kms, key_arn)
        if key is not None and key.state != "PendingDeletion":
            rollback.registry.resources.cancel_removal(key_arn)
        raise
    rollback.registry.resources.cancel_removal(key_arn)
    return evidence.model_copy(update={"aliases": tuple(sorted(others))}).in_use


def _find_created_key(rollback: Rollback, entry: Entry) -> ObservedKey | None:
    """The key by its ARN or, if the response of CreateKey was lost, by its alias and the tag of the request, or by the tag."""
    kms, desired = rollback.clients.kms, rollback.desired
    if entry.result:
        return find_key(kms, entry.result["arn"])
    aliased = find_key(kms, desired.alias) if desired.alias else None
    if aliased is not None and desired.made(aliased.tags):
        return aliased
    return find_key_by_tags(kms, desired.made, entry.noted)


def _delete_aliases(rollback: Rollback, key_arn: str, aliases: Iterable[str]) -> None:
    for alias in aliases:
        _delete_alias(rollback, alias)
        rollback.registry.resources.forget_key(alias, key_arn)


def _forget(rollback: Rollback, key_arn: str) -> None:
    """Deletes the registry items about a key that is scheduled for deletion."""
    if rollback.desired.alias:
        rollback.registry.resources.forget_key(rollback.desired.alias, key_arn)
    rollback.registry.resources.forget_removed(key_arn)


def roll_back_key_rotation(rollback: Rollback, entry: Entry) -> str | None:
    """Restores the rotation period, unless somebody has changed it since or the key is being deleted."""
    arn, wanted, former = entry.wanted["arn"], entry.wanted["days"], entry.found["days"]
    key = find_key(rollback.clients.kms, arn)
    if key is None or key.state != "Enabled" or rotation_days(rollback.clients.kms, arn) != wanted:
        return None
    rollback.note(entry, f"restored the rotation of {arn} every {former} days")
    rollback.clients.kms.enable_key_rotation(KeyId=arn, RotationPeriodInDays=former)
    return None


def _delete_alias(rollback: Rollback, alias: str) -> None:
    try:
        rollback.clients.kms.delete_alias(AliasName=alias)
    except ClientError as error:
        if not is_missing(error):
            raise
