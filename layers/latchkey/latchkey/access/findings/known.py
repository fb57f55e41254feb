"""How the findings of an access develop: since when each exists, what has been tried, and what is tried next. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from latchkey.access.findings.finding import due_repairs
from latchkey.access.record import AccessRecord
from latchkey.events.findings import Finding

# A finding that was repaired so often within this period comes back whatever Latchkey does, so a person has to find the cause.
FLAPPING_REPAIRS = 3
FLAPPING_PERIOD = timedelta(days=1)
_REPAIRED: Collection[str] = frozenset(["active", "handed-off", "revoked"])


@dataclass(frozen=True)
class Attempt:
    """A repair that was started: when, and the kinds of the findings that it was to correct."""

    at: datetime
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class KnownFindings:
    """The findings of an access as of `seen_at`. `due` are those that a repair corrects, if the access is to be repaired.

    `attempts` are the repairs by the ID of their request. `flapping` are the kinds that are not repaired any more, and when
    each was last seen.
    """

    access_id: str
    seen_at: datetime
    findings: tuple[Finding, ...] = ()
    due: tuple[str, ...] = ()
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    flapping: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def is_of_resource(self) -> bool:
        """Whether these are the findings of a resource that no record names. Its ARN is the ID then."""
        return self.access_id.startswith("arn:")

    @property
    def due_findings(self) -> tuple[Finding, ...]:
        """The findings that a repair corrects."""
        return tuple(one for one in self.findings if one.kind.value in self.due)

    @property
    def is_attempted(self) -> bool:
        """Whether a repair was started since the findings were seen."""
        return any(attempt.at >= self.seen_at for attempt in self.attempts.values())

    def attempted(self, request_id: str, at: datetime) -> KnownFindings:
        """These findings after the start of a repair."""
        return replace(self, attempts={**self.attempts, request_id: Attempt(at, self.due)})


def known_findings(
    found: Iterable[Finding],
    former: KnownFindings | None,
    record: AccessRecord,
    recorded_at: datetime | None,
    mode: Literal["audit", "repair"],
    now: datetime,
) -> KnownFindings:
    """The known findings of an access after it was observed. `mode` is what its request or the stack says about repairs."""
    known = former or KnownFindings(record.access_id, now)
    if _is_onboarded_again(known, record, recorded_at):
        known = replace(known, attempts={}, flapping={})
    findings = tuple(_since(one, known, now) for one in found)
    repairable = due_repairs(findings)
    attempts = {name: one for name, one in known.attempts.items() if one.at > now - 2 * FLAPPING_PERIOD}
    flapping = _flapping(findings, {one.kind.value for one in repairable}, known, now)
    is_due = mode == "repair" and record.status in _REPAIRED and not flapping.keys() & {one.kind.value for one in repairable}
    due = tuple(sorted({one.kind.value for one in repairable})) if is_due else ()
    return KnownFindings(record.access_id, now, findings, due, attempts, flapping)


def seen_findings(access_id: str, found: Iterable[Finding], former: KnownFindings | None, now: datetime) -> KnownFindings:
    """The known findings of what is never repaired: a resource that no record names, or a record of which nothing exists."""
    known = former or KnownFindings(access_id, now)
    return replace(known, seen_at=now, findings=tuple(_since(one, known, now) for one in found), due=())


def _is_onboarded_again(known: KnownFindings, record: AccessRecord, recorded_at: datetime | None) -> bool:
    """Whether a request that is no repair has recorded the access since the last repair was started."""
    if not known.attempts or recorded_at is None or record.request_id in known.attempts:
        return False
    return recorded_at > max(attempt.at for attempt in known.attempts.values())


def _since(one: Finding, known: KnownFindings, now: datetime) -> Finding:
    """The finding with the time at which it was first seen, unless a trail event says when it began."""
    same = next((former for former in known.findings if former.identity == one.identity), None)
    if same is not None and same.since is not None and one.trail_event_id is None:
        kept = {"since": same.since, "trail_event_id": same.trail_event_id, "principal": same.principal}
        return one.model_copy(update=kept)
    return one if one.since is not None else one.model_copy(update={"since": now})


def _flapping(
    findings: Iterable[Finding], repairable: Collection[str], known: KnownFindings, now: datetime
) -> dict[str, datetime]:
    present = {one.kind.value for one in findings}
    kept = {kind: now if kind in present else at for kind, at in known.flapping.items()}
    flapping = {kind: at for kind, at in kept.items() if at > now - FLAPPING_PERIOD}
    for kind in repairable:
        recent = [one for one in known.attempts.values() if kind in one.kinds and one.at > now - FLAPPING_PERIOD]
        if len(recent) >= FLAPPING_REPAIRS:
            flapping[kind] = now
    return flapping
