"""What the steps of an offboarding pass to the removal of keys, secrets, roles and statements."""

from __future__ import annotations

from functools import partial

from latchkey.aws.clients import Clients
from latchkey.errors import Conflict
from latchkey.events.outcomes import Evidence
from latchkey.offboarding.read_evidence import read_readers
from latchkey.offboarding.step_input import Offboarding, RecordedPart
from latchkey.registry import Registry
from latchkey.registry.journal import RequestJournal
from latchkey.removal.removal import Removal


def removal_of(offboarding: Offboarding, part: RecordedPart, step: str) -> Removal:
    """The removal of an entire recorded access.

    A request of the access whose rollback is unfinished can still use a key or secret.
    """
    journal, uses = offboarding.journal, offboarding.registry.journal.uses
    return Removal(
        desired=part.desired,
        settings=offboarding.settings,
        registry=offboarding.registry,
        clients=offboarding.clients,
        note=partial(journal.note_undone, step),
        note_evidence=partial(_note_evidence, journal, step),
        kept=lambda _: (),
        is_used=lambda resource: uses(resource, part.record.access_id, without=journal.execution_arn),
    )


def _note_evidence(journal: RequestJournal, step: str, evidence: Evidence) -> None:
    journal.note_evidence(step, evidence.model_dump(mode="json", by_alias=True))


def require_detached(part: RecordedPart, registry: Registry, clients: Clients) -> Evidence:
    """Reads again what uses the secret. Raises Conflict if its owner has configured the resource with the secret again."""
    evidence = read_readers(part.desired, part.record.secret_arn or "", registry, clients)
    own = part.record.resource_arn or part.desired.resource.arn(part.desired.place)
    if own in evidence.resources:
        rule = f"{own} was configured with {part.record.secret_arn} again"
        raise Conflict(f"{rule}: remove the secret from its settings, and send the request again")
    return evidence
