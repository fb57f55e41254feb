"""The rules for a repair: it gives back what an access had, and replaces nothing that was lost. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from latchkey.access.checks import uses_secret
from latchkey.access.desired import Desired
from latchkey.access.lifecycle import State
from latchkey.access.record import AccessRecord
from latchkey.access.remedy import repair_request
from latchkey.errors import Problem
from latchkey.onboarding.rules.evidence import RequestEvidence
from latchkey.onboarding.rules.key import readable_key_arn

_REPAIRED: frozenset[State] = frozenset(["active", "handed-off", "revoked"])


def repair_problems(desired: Desired, evidence: RequestEvidence, state: State) -> Iterator[Problem]:
    """Why an access cannot be repaired. Something can have changed since the repair was decided."""
    record, recorded = evidence.record, evidence.recorded_request
    if record is None or recorded is None or state not in _REPAIRED:
        yield Problem("resource", f"is not repaired, because the access is {state or 'not recorded'}")
        return
    if repair_request(recorded, desired.request.request_id).wire != desired.request.wire:
        yield Problem("resource", "is not repaired, because another request has changed the access in the meantime")
    if evidence.pending is not None:
        yield Problem("resource", "is not repaired, because a hand-off waits for its confirmation: confirm it first")
    if desired.system.key_is_exclusive:
        yield Problem("key", "is not repaired, because a partner uses it: send the onboarding request again")
    yield from _lost(desired, evidence, record)


def _lost(desired: Desired, evidence: RequestEvidence, record: AccessRecord) -> Iterator[Problem]:
    """What the access has lost, and what only a person can replace."""
    if readable_key_arn(evidence.key) != record.key_arn:
        rule = f"is not {record.key_arn}, which the access uses: make that key available, or onboard the access again"
        yield Problem("key", rule)
    secret_arn = evidence.secret.secret.arn if evidence.secret else None
    if desired.reads_secret and secret_arn != record.secret_arn:
        rule = f"is not {record.secret_arn}, which the access uses: restore that secret, or onboard the access again"
        yield Problem("secret", rule)
    configured = evidence.resource.configured if evidence.resource else None
    if (
        desired.configures
        and record.reached == "active"
        and not (configured and uses_secret(configured, record.secret_arn or ""))
    ):
        rule = f"does not use {record.secret_arn}: if that was not intended, onboard the access again"
        yield Problem("resource", rule)
