"""Removes the statements that the request added to the policy of a key or secret."""

from __future__ import annotations

from collections.abc import Sequence

from latchkey.aws.keys import find_key
from latchkey.aws.secrets import find_secret
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.onboarding.shared_policies import policy_of_key, policy_of_secret, remove_from
from latchkey.policies import PARTNER_SID, Statement
from latchkey.registry.journal import KEY, SECRET, Entry

# Sids of statements that are never removed: the creator of the key, and the readers of a secret that left the default key.
# The secret stays under the key, so they must be able to decrypt it.
_PERMANENT_SIDS = ("LatchkeyCreation", "LatchkeyFormerDefaultKey")


def roll_back_key_policy(rollback: Rollback, entry: Entry) -> str | None:
    """Returns what a person must decide: partner statements stay, because the data of the partner can depend on them."""
    arn, added = entry.wanted["arn"], entry.wanted["added"]
    if rollback.created(KEY, arn):
        return None
    key = find_key(rollback.clients.kms, arn)
    if key is None or key.state == "PendingDeletion":
        return None
    partners = [statement["Sid"] for statement in added if statement["Sid"].startswith(PARTNER_SID)]
    remove_key_statements(rollback, entry, arn, added, kept=partners)
    if not partners:
        return None
    return (
        f"{arn} keeps the partner statements of this request, because a partner's data can depend on them: "
        "remove them by hand after the partner has stopped using the key"
    )


def remove_key_statements(
    rollback: Rollback, entry: Entry, key_arn: str, added: Sequence[Statement], *, kept: Sequence[str] = ()
) -> None:
    """Removes the parts of statements that the request added, except for those that other accesses need."""
    remove_from(
        policy_of_key(key_arn, rollback.clients.kms, rollback.clients.iam, rollback.settings.key_writers),
        added,
        rollback.needed_by_others(key_arn, lambda desired: desired.known_key_statements),
        rollback.registry,
        lambda: rollback.note(entry, f"removed the statements of this request from the policy of {key_arn}"),
        kept=(*_PERMANENT_SIDS, *kept),
    )


def roll_back_secret_policy(rollback: Rollback, entry: Entry) -> str | None:
    """Removes the parts of statements that the request added, except for those that other accesses need."""
    arn, added = entry.wanted["arn"], entry.wanted["added"]
    if rollback.created(SECRET, arn):
        return None
    secret = find_secret(rollback.clients.secretsmanager, arn)
    if secret is not None and not secret.is_being_deleted:
        remove_secret_statements(rollback, entry, arn, added)
    return None


def remove_secret_statements(rollback: Rollback, entry: Entry, secret_arn: str, added: Sequence[Statement]) -> None:
    """Removes the parts of statements that the request added, except for those that other accesses need."""
    remove_from(
        policy_of_secret(secret_arn, rollback.clients.secretsmanager, rollback.clients.iam),
        added,
        rollback.needed_by_others(rollback.desired.secret_resource, lambda desired: desired.secret_statements(secret_arn)),
        rollback.registry,
        lambda: rollback.note(entry, f"removed the statements of this request from the policy of {secret_arn}"),
    )
