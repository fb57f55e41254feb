"""Removes the statements that the request added to the policy of a key or secret."""

from __future__ import annotations

from latchkey.aws.keys import find_key
from latchkey.aws.secrets import find_secret
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.policies import PARTNER_SID
from latchkey.registry.journal import KEY, SECRET, Entry
from latchkey.removal.policies import remove_key_statements, remove_secret_statements

REMOVED = "removed the statements of this request from the policy of {arn}"


def roll_back_key_policy(rollback: Rollback, entry: Entry) -> str | None:
    """Returns what a person must decide: partner statements stay, because the data of the partner can depend on them."""
    arn, added = entry.wanted["arn"], entry.wanted["added"]
    if rollback.created(KEY, arn):
        return None
    key = find_key(rollback.clients.kms, arn)
    if key is None or key.state == "PendingDeletion":
        return None
    partners = [statement["Sid"] for statement in added if statement["Sid"].startswith(PARTNER_SID)]
    remove_key_statements(rollback.removal(entry), arn, added, REMOVED.format(arn=arn), kept=partners)
    if not partners:
        return None
    return (
        f"{arn} keeps the partner statements of this request, because a partner's data can depend on them: "
        "remove them by hand after the partner has stopped using the key"
    )


def roll_back_secret_policy(rollback: Rollback, entry: Entry) -> str | None:
    """Removes the parts of statements that the request added, except for those that other accesses need."""
    arn, added = entry.wanted["arn"], entry.wanted["added"]
    if rollback.created(SECRET, arn):
        return None
    secret = find_secret(rollback.clients.secretsmanager, arn)
    if secret is not None and not secret.is_being_deleted:
        remove_secret_statements(rollback.removal(entry), arn, added, REMOVED.format(arn=arn))
    return None
