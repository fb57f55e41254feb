"""Rolls back a rotation: the former version becomes the current one again, and no version of the rotation is left pending."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from latchkey.access.desired import desire
from latchkey.aws.errors import aws_errors
from latchkey.aws.secrets import CURRENT, PENDING, find_secret
from latchkey.errors import Conflict, LatchkeyError, NotYetEffective, TransientAwsError
from latchkey.onboarding.rollback.rollback import Decision, Rollback
from latchkey.registry.journal import LAST_ROTATION, Entry
from latchkey.removal.token import read_again, restore_labels
from latchkey.tags import may_rotate


def roll_back_rotation(rollback: Rollback, entry: Entry) -> str | None:
    """Restores the labels that the request found, and lets services that have read the new value read the former one.

    After a failed confirmation, the version is pending again, so that it can be confirmed again or withdrawn. Without consent
    of the owner, or if the former version is gone, the labels stay, and a person must move them.
    """
    plan, secretsmanager = entry.wanted["plan"], rollback.clients.secretsmanager
    own = frozenset(version for version in (plan["version"], plan["second"]) if version)
    secret = find_secret(secretsmanager, plan["secretArn"])
    if secret is None:
        return None
    labels = [label for label in (CURRENT, PENDING) if secret.version(label) in own]
    if secret.is_being_deleted:
        rule = f"{secret.arn} is scheduled for deletion, and a new version has the labels {', '.join(labels)}"
        return f"{rule}: its labels are restored if the secret is" if labels else None
    if not (rollback.desired.owns(secret.tags) and may_rotate(secret.tags, rollback.desired.stack)):
        rule = f"{secret.arn} keeps the labels {', '.join(labels)} on a new version, because its owner withdrew consent"
        return Decision(f"{rule}: move AWSCURRENT back to {plan['former']}") if labels else None
    try:
        reverted = restore_labels(secretsmanager, secret, own, entry.found, lambda text: rollback.note(entry, text))
    except Conflict as error:
        return Decision(str(error))
    rollback.registry.tokens.restore_rotation(
        rollback.desired.secret_resource, datetime.fromisoformat(plan["began"]), entry.found.get(LAST_ROTATION)
    )
    unread = [*_read_again(rollback, plan)] if reverted or entry.undone else []
    return Decision("; ".join(unread)) if unread else None


def roll_back_end(rollback: Rollback, entry: Entry) -> str | None:
    """Lets a pending rotation that the request has ended be pending again, so that it can be confirmed or withdrawn.

    If another rotation has followed, or the secret is gone, it stays ended.
    """
    secret = find_secret(rollback.clients.secretsmanager, entry.wanted["secretArn"])
    if secret is not None and secret.version(PENDING) in (None, *entry.wanted["versions"]):
        rollback.registry.phases.restore(rollback.access_id, entry.found)
    return None


def _read_again(rollback: Rollback, plan: dict[str, Any]) -> Iterator[str]:
    """Sends the settings of each resource again that can have read the new value. Returns why a resource was left alone."""
    registry = rollback.registry
    for access_id in plan["updates"]:
        record, request = registry.accesses.get(access_id), registry.accesses.recorded_request(access_id)
        if record is None or request is None:
            continue
        try:
            with aws_errors():
                desired = desire(request, rollback.settings, record.tenant)
                read_again(desired, record.key_arn, plan["secretArn"], rollback.clients)
        except (NotYetEffective, TransientAwsError):
            raise
        except LatchkeyError as error:
            yield f"the resource of {access_id} can still have the new token, because it cannot be configured again ({error})"
