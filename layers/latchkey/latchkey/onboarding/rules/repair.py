"""The rules for a repair: it gives back what an access had, and replaces nothing that was lost. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from latchkey import policies
from latchkey.access.checks import uses_secret
from latchkey.access.desired import Desired
from latchkey.access.lifecycle import State
from latchkey.access.record import AccessRecord
from latchkey.access.remedy import repair_request
from latchkey.errors import Problem
from latchkey.events.findings import FindingKind, Repair
from latchkey.onboarding.rules.evidence import RequestEvidence
from latchkey.onboarding.rules.key import readable_key_arn

_REPAIRED: frozenset[State] = frozenset(["active", "handed-off", "revoked"])


_OF_RESOURCE = frozenset(
    [
        FindingKind.RESOURCE_OTHER_HEADER,
        FindingKind.RESOURCE_OTHER_BASE_URL,
        FindingKind.RESOURCE_OTHER_SETTING,
        FindingKind.GRANT_MISSING,
    ]
)


def without_known(desired: Desired, evidence: RequestEvidence, repair: Repair) -> RequestEvidence:
    """The evidence without what is known to be wrong, belongs to somebody else, and is not changed by the repair.

    A new request is rejected for it. A repair reports it, and corrects what is Latchkey's.
    """
    known = {one.kind for one in repair.remaining}
    role, secret = evidence.role, evidence.secret
    if role is not None and FindingKind.ROLE_FOREIGN_POLICY in known:
        role = replace(role, role=replace(role.role, others=()))
    if secret is not None and FindingKind.SECRET_POLICY_PUBLIC in known:
        is_whole = not policies.missing_from(secret.policy, desired.secret_share(secret.secret.arn).needed)
        secret = replace(secret, policy=policies.without_public(secret.policy)) if is_whole else secret
    return replace(evidence, role=role, secret=secret)


def leaves_resource(repair: Repair) -> bool:
    """Whether the repair must not write the resource: everybody is admitted to it, and nothing else about it is wrong."""
    is_open = any(one.kind is FindingKind.RESOURCE_OPEN for one in repair.remaining)
    return is_open and not any(one.kind in _OF_RESOURCE for one in repair.findings)


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
