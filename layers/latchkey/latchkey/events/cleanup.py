"""Events that no request asked for: grants that were cleaned up, accesses that were revoked or restored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, StringConstraints

from latchkey.events.outcomes import CheckResult, Failure
from latchkey.wire import WireModel


class RemovedGrant(WireModel):
    """A grant that is gone. `service`: it was gone before Latchkey set out to revoke it; `either`: it cannot be told."""

    grant_id: str | None = None
    key_arn: str
    removed_by: Literal["latchkey", "service", "either"]
    reason: str
    evidence: tuple[str, ...]
    removed_at: datetime


class KeptGrant(WireModel):
    """A grant that stays, and why."""

    grant_id: str
    key_arn: str
    reason: str


type Printable = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]


class TrailEvent(WireModel):
    """The event for which somebody looked. It decides nothing: only fresh reads do."""

    event_id: str
    event_name: str
    event_time: AwareDatetime


class Notice(WireModel):
    """What all of these events tell. `outcomeId` tells a second delivery from a second event."""

    version: Literal["1"] = "1"
    outcome_id: str
    access_id: str
    system: str
    status: str
    hint: TrailEvent | None = None
    execution_arn: str


class GrantsCleanedUp(Notice):
    """Grants of an access that are gone, by whom and from which reads, and those that were meant to go and stay.

    `exposureSeconds` is the time from the hint, or else the first look, to the last revocation by Latchkey. `status` is
    `irrevocable` if a grant could not be revoked; the sweep tries again.
    """

    removed: tuple[RemovedGrant, ...]
    kept: tuple[KeptGrant, ...]
    restored: bool
    exposure_seconds: float | None = None
    failure: Failure | None = None


class AccessRevoked(Notice):
    """The service cannot read any more, or could not be given its grant again: the failed checks say why."""

    status: Literal["revoked", "detached"]
    lost: tuple[CheckResult, ...]
    proposal: str | None = None


class AccessRestored(Notice):
    """An access that was revoked or detached passes its checks again."""

    status: Literal["active"]


CLEANED_UP = "Grants Cleaned Up"
NOTICES: dict[str, type[Notice]] = {
    CLEANED_UP: GrantsCleanedUp,
    "Access Revoked": AccessRevoked,
    "Access Restored": AccessRestored,
}
