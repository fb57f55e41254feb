"""Makes findings from the catalog."""

from __future__ import annotations

from collections.abc import Iterable

from latchkey.access.findings.catalog import CATALOG
from latchkey.events.cleanup import TrailEvent
from latchkey.events.findings import Finding, FindingKind, Remediation, Severity

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


def due_repairs(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that a repair corrects, or none as long as a finding that a person must correct blocks it."""
    found = tuple(findings)
    if any(CATALOG[one.kind].blocks_repair for one in found):
        return ()
    return tuple(one for one in found if one.remediation == "repair")
