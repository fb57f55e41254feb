"""Schedules the deletion of a key that nothing uses."""

from __future__ import annotations

from collections.abc import Iterable

from botocore.exceptions import ClientError

from latchkey.aws.errors import is_missing
from latchkey.aws.keys import ObservedKey, find_key, list_aliases
from latchkey.events.outcomes import Evidence
from latchkey.removal.evidence import is_own_alias, read_key_evidence
from latchkey.removal.removal import OWN_ACCESS, Removal

# The shortest waiting period of KMS. Until it ends, a person can cancel the deletion:
# https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
WAITING_DAYS = 7


def schedule_key_deletion(
    removal: Removal, key: ObservedKey, waiting_days: int = WAITING_DAYS, grants_of: frozenset[str] = frozenset()
) -> str:
    """Schedules the deletion of a key if complete evidence shows that nothing uses it.

    Returns what uses the key, which then stays, or an empty text. The caller has checked that Latchkey created the key. If the
    key is already being deleted, its aliases and registry items are removed. `grants_of` are the names of further grants that
    nothing uses, of other accesses that leave the key together with this one.
    """
    if key.state == "PendingDeletion":
        aliases = list_aliases(removal.clients.kms, key.arn)
        _delete_aliases(removal, key.arn, [alias for alias in aliases if is_own_alias(removal, alias, key.arn)])
        forget_key(removal, key.arn)
        return ""
    evidence = _block_references(removal, key, grants_of)
    users = evidence if isinstance(evidence, str) else _delete_key(removal, key.arn, evidence, waiting_days)
    if not users:
        forget_key(removal, key.arn)
    return users


def _block_references(removal: Removal, key: ObservedKey, grants_of: frozenset[str]) -> Evidence | str:
    """Blocks new references to a key that nothing uses, and returns the evidence.

    If something uses the key, returns what does, and blocks nothing.
    """
    resources = removal.registry.resources
    if removal.is_used(key.arn):
        return OWN_ACCESS
    if not resources.begin_removal(key.arn, removal.access_id):
        return f"accesses: {', '.join(sorted(resources.others(key.arn, removal.access_id)))}"
    in_use: str | None = None
    try:
        evidence = read_key_evidence(removal, key, grants_of)
        removal.note_evidence(evidence)
        in_use = evidence.in_use
    finally:
        # After a failed read as well: an incomplete read decides nothing.
        if in_use != "":
            resources.cancel_removal(key.arn)
    return in_use or evidence


def _delete_key(removal: Removal, key_arn: str, evidence: Evidence, waiting_days: int) -> str:
    """Deletes the aliases of Latchkey and schedules the deletion of the key.

    If somebody added an alias after the evidence, the key and that alias stay, and the text says so.
    """
    kms = removal.clients.kms
    try:
        aliases = list_aliases(kms, key_arn)
        own = [alias for alias in aliases if is_own_alias(removal, alias, key_arn)]
        others = set(aliases).difference(own)
        if not others:
            removal.note(f"scheduled {key_arn} for deletion in {waiting_days} days")
            # Aliases first: a request that finds no alias creates its own key.
            # One that finds a key pending deletion is rejected.
            _delete_aliases(removal, key_arn, own)
            # No call between this read and the deletion: anybody can add an alias at any time.
            others = set(list_aliases(kms, key_arn)).difference(own)
        if not others:
            kms.schedule_key_deletion(KeyId=key_arn, PendingWindowInDays=waiting_days)
            return ""
    except Exception:
        # If only the response was lost, the key is pending deletion, and the next attempt completes the removal.
        key = find_key(kms, key_arn)
        if key is not None and key.state != "PendingDeletion":
            removal.registry.resources.cancel_removal(key_arn)
        raise
    removal.registry.resources.cancel_removal(key_arn)
    return evidence.model_copy(update={"aliases": tuple(sorted(others))}).in_use


def _delete_aliases(removal: Removal, key_arn: str, aliases: Iterable[str]) -> None:
    for alias in aliases:
        try:
            removal.clients.kms.delete_alias(AliasName=alias)
        except ClientError as error:
            if not is_missing(error):
                raise
        removal.registry.resources.forget_key(alias, key_arn)


def forget_key(removal: Removal, key_arn: str) -> None:
    """Deletes the registry items about a key that does not exist or is scheduled for deletion."""
    if removal.desired.alias:
        removal.registry.resources.forget_key(removal.desired.alias, key_arn)
    removal.registry.resources.forget_removed(key_arn)
