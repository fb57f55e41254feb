"""How long an orphaned grant still allowed decryption. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from latchkey.cleanup.trail_events import is_cause
from latchkey.events.cleanup import TrailEvent
from latchkey.events.outcomes import RemovedGrant


@dataclass(frozen=True)
class Exposure:
    """The seconds from the moment when a grant was no longer needed to its revocation, at least and at most.

    Both are None if Latchkey revoked no grant. `at_most` is None if nothing shows that the grant was needed at an earlier time.
    """

    at_least: float | None = None
    at_most: float | None = None

    @property
    def seconds(self) -> float | None:
        """The larger one of the limits that are known."""
        return self.at_least if self.at_most is None else self.at_most

    @property
    def members(self) -> dict[str, float | None]:
        """The members of an event. The limits are omitted if they are equal."""
        limits = {"exposureSecondsAtLeast": self.at_least, "exposureSecondsAtMost": self.at_most}
        return {"exposureSeconds": self.seconds} | (limits if self.at_least != self.at_most else {})


def exposure_of(
    removed: Iterable[RemovedGrant], surveyed: datetime, trail_event: TrailEvent | None, in_use: Iterable[datetime | None]
) -> Exposure:
    """The longest exposure of the grants that Latchkey revoked.

    `surveyed` is the first survey, which found the grants orphaned. The trail event gives the moment only if its call can be
    the cause. `in_use` are times at which the access was seen in use, of which only those before the survey count. The time of
    the survey is that of KMS in whole seconds, so the others are rounded down as well.
    """
    seconds = [at.replace(microsecond=0) for at in in_use if at is not None]
    earlier = [at for at in seconds if at <= surveyed]
    ranges = [*_ranges(removed, surveyed, trail_event, max(earlier, default=None))]
    if not ranges:
        return Exposure()
    at_most = [most for _, most in ranges if most is not None]
    return Exposure(max(least for least, _ in ranges), max(at_most) if len(at_most) == len(ranges) else None)


def _ranges(
    removed: Iterable[RemovedGrant], surveyed: datetime, trail_event: TrailEvent | None, earlier: datetime | None
) -> Iterator[tuple[float, float | None]]:
    for grant in removed:
        if grant.removed_by != "latchkey":
            continue
        if trail_event and is_cause(trail_event, grant.reason):
            exact = _seconds(min(trail_event.event_time, surveyed), grant.removed_at)
            yield exact, exact
        else:
            yield _seconds(surveyed, grant.removed_at), _seconds(earlier, grant.removed_at) if earlier else None


def _seconds(since: datetime, until: datetime) -> float:
    return max((until - since).total_seconds(), 0.0)
