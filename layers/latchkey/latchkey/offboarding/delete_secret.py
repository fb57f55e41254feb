"""Deletes a secret that Latchkey created and that nothing uses, with a recovery window."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from latchkey.aws.clients import Clients
from latchkey.aws.secrets import ObservedSecret, find_secret
from latchkey.events.outcomes import Evidence
from latchkey.offboarding.read_evidence import was_created_here
from latchkey.offboarding.removal import removal_of, require_detached
from latchkey.offboarding.step_input import Offboarding, OffboardingStep, RecordedPart
from latchkey.registry import Registry
from latchkey.registry.journal import RequestJournal, secret_deletion_step
from latchkey.removal.secret import delete_unused_secret
from latchkey.settings import Settings
from latchkey.wire import WireModel

__all__ = ["OffboardingStep", "SecretsDeleted", "delete_secret"]


class SecretsDeleted(WireModel):
    """The ARNs of the secrets that are scheduled for deletion, and what stays with the reason."""

    deleted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def delete_secret(event: OffboardingStep, settings: Settings, registry: Registry, clients: Clients) -> SecretsDeleted:
    """Schedules the deletion of the secrets of the access and of its unconfirmed hand-off.

    An adopted secret stays, and so does one that another access or any resource uses. The evidence is read directly before the
    deletion. https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
    """
    offboarding = Offboarding(event, settings, registry, clients)
    secrets = {part.record.secret_arn: part for part in offboarding.parts if part.record.secret_arn}
    results = {arn: _delete(offboarding, part, arn) for arn, part in secrets.items()}
    return SecretsDeleted(
        deleted=tuple(arn for arn, reason in results.items() if reason == ""),
        left=tuple(reason for reason in results.values() if reason),
    )


def _delete(offboarding: Offboarding, part: RecordedPart, secret_arn: str) -> str | None:
    """Returns why the secret stays, an empty text if it is being deleted, or None if Latchkey must not delete it."""
    registry, clients, journal = offboarding.registry, offboarding.clients, offboarding.journal
    resource, stack, days = part.desired.secret_resource, part.desired.stack, offboarding.event.asked.recovery_days
    step, secret = secret_deletion_step(secret_arn), find_secret(clients.secretsmanager, secret_arn)
    if secret is None or secret.is_being_deleted:
        registry.resources.forget_removed(resource)
        return _is_going(secret, step, stack, journal, registry)
    if not was_created_here(secret, stack, registry):
        return None
    if (entry := journal.entry(step)) is not None and entry.result is not None:
        # This request had deleted it, and only a person restores a secret while the access is locked.
        reason = f"{secret_arn} stays, because it was restored during this request"
        journal.leave(step, reason)
        return reason
    ends = datetime.now(UTC) + timedelta(days=days)
    journal.note_removal(step, wanted={"arn": secret_arn, "at": ends.isoformat(timespec="seconds")})
    readers = require_detached(part, registry, clients)
    # The evidence of the deletion: the accesses that refer to the secret, and the resources that are configured with it.
    removal = replace(removal_of(offboarding, part, step), note_evidence=lambda _: _note(journal, step, readers))
    if readers.resources:
        _note(journal, step, readers)
        users: str | None = f"resources: {', '.join(readers.resources)}"
    else:
        users = delete_unused_secret(removal, secret_arn, lambda found: was_created_here(found, stack, registry), days)
    if users == "":
        journal.leave_nothing(step)
        journal.complete(step, {"deleted": True})
        registry.resources.forget(resource)
        return ""
    reason = f"it is in use ({users})" if users else "it no longer has the tags of Latchkey"
    journal.leave(step, f"{secret_arn} stays, because {reason}")
    return f"{secret_arn} stays, because {reason}"


def _is_going(secret: ObservedSecret | None, step: str, stack: str, journal: RequestJournal, registry: Registry) -> str | None:
    """Returns an empty text for a secret in its recovery window, so that a restoration of the access restores it.

    An attempt that crashed, an earlier offboarding that failed later, or a person has deleted it.
    """
    if secret is None:
        return None
    if journal.entry(step) is None and was_created_here(secret, stack, registry):
        journal.note_removal(step, wanted={"arn": secret.arn, "at": None})
    return "" if journal.entry(step) is not None else None


def _note(journal: RequestJournal, step: str, evidence: Evidence) -> None:
    journal.note_evidence(step, evidence.model_dump(mode="json", by_alias=True))
