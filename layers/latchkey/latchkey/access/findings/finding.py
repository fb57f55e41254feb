"""Makes findings from the catalog."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace

from latchkey.access.findings.catalog import CATALOG
from latchkey.events.cleanup import TrailEvent
from latchkey.events.findings import Finding, FindingKind, Remediation, Severity
from latchkey.events.outcomes import Check

# Evidence can quote names and settings that people chose, and an event has a limit.
_LONGEST_EVIDENCE = 1000


def finding(
    kind: FindingKind,
    evidence: str,
    *,
    name: str | None = None,
    severity: Severity | None = None,
    remediation: Remediation | None = None,
) -> Finding:
    """A finding of this kind, with the facts of the catalog unless they are given."""
    facts = CATALOG[kind]
    is_short = len(evidence) <= _LONGEST_EVIDENCE
    return Finding(
        kind=kind,
        severity=severity or facts.severity,
        name=name or facts.name,
        evidence=evidence if is_short else f"{evidence[: _LONGEST_EVIDENCE - 3]}...",
        remediation=remediation or facts.remediation,
    )


def attributed(findings: Iterable[Finding], trail_event: TrailEvent | None) -> tuple[Finding, ...]:
    """The findings, those that the call in a trail event can have brought about with its time, its id and its principal."""
    return tuple(_attributed(one, trail_event) for one in findings)


def _attributed(one: Finding, trail_event: TrailEvent | None) -> Finding:
    if trail_event is None or trail_event.event_name not in CATALOG[one.kind].trail_operations:
        return one
    known = {
        "since": trail_event.event_time,
        "trail_event_id": trail_event.event_id,
        "principal": trail_event.principal,
    }
    return one.model_copy(update=known)


def identity_of(findings: Iterable[Finding]) -> str:
    """What distinguishes these findings from others. The same state of an access always has the same one."""
    return hashlib.sha256(json.dumps(sorted(one.identity for one in findings)).encode()).hexdigest()[:32]


_STATEMENTS_OF_SECRET = frozenset([FindingKind.SECRET_STATEMENT_MISSING, FindingKind.SECRET_STATEMENT_ALTERED])
_STATEMENTS = _STATEMENTS_OF_SECRET | {FindingKind.KEY_STATEMENT_MISSING, FindingKind.KEY_STATEMENT_ALTERED}


def due_repairs(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that a repair corrects, or none as long as a finding that a person must correct blocks it."""
    found = tuple(findings)
    return () if _is_blocked(found) else tuple(one for one in found if one.remediation == "repair")


def _is_blocked(found: tuple[Finding, ...]) -> bool:
    """Whether the request would be rejected, or would create again or configure what somebody else took away."""
    kinds = {one.kind for one in found}
    # Secrets Manager rejects every change that leaves a policy public.
    is_public = FindingKind.SECRET_POLICY_PUBLIC in kinds and bool(kinds & _STATEMENTS_OF_SECRET)
    # A Deny statement with our Sid, and a role without our tag.
    is_taken = any(one.remediation == "tell" and one.kind in {*_STATEMENTS, FindingKind.ROLE_REPLACED} for one in found)
    return is_public or is_taken or any(CATALOG[kind].blocks_repair for kind in kinds)


def unresolved(checks: Iterable[Check], found: Iterable[Finding], known: Iterable[Finding]) -> tuple[Check, ...]:
    """The failed checks that a repair must still resolve, with one for each finding that it corrects and no check shows.

    `found` is what is wrong now. A check that fails for one of the `known` findings, which were there before the repair and
    which no repair corrects, is not among them.
    """
    present, before = tuple(found), {one.kind for one in known}
    due = {one.name: one for one in present if one.remediation == "repair"}
    left = [one for one in present if one.remediation != "repair" and one.kind in before]
    excused = {name for one in left for name in (one.name, *CATALOG[one.kind].fails)}
    failed = [check for check in checks if not check.passed and (check.name in due or check.name not in excused)]
    unseen = due.keys() - {check.name for check in failed}
    return (*failed, *(_lasting(due[name]) for name in sorted(unseen)))


def _lasting(one: Finding) -> Check:
    """A failed check for a finding that a repair corrects. Attaching the policies again resolves the ones about statements."""
    outdated = one.kind in {*_STATEMENTS, FindingKind.KEY_STATEMENT_OUTDATED}
    return replace(Check(one.name, False, one.evidence), overwritten=outdated)
