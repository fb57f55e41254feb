"""What the registry knows of grants that are to go: noted before, finished after, kept as evidence."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from latchkey.aws import clients
from latchkey.registry.table import ConditionFailed, Table, now_text
from latchkey.settings import settings
from latchkey.wire import WireModel

# KMS lists a revoked grant for up to five minutes, by another clock than ours:
# https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
LISTED_STILL = timedelta(minutes=10)


@dataclass(frozen=True)
class Revocation:
    """A grant that may have to go, and why by the look that noted it. `tries` counts the times that any execution set out to.

    `secret_arn`: what the grant is bound to, if it is not bound to its resource. `vanished`: it was listed no longer, so that
    one of its id is another. `ended_at` is None while it is open.
    """

    access_id: str
    grant_id: str
    key_arn: str
    reason: str
    secret_arn: str | None = None
    tries: int = 0
    revoked: bool = False
    vanished: bool = False
    ended_at: datetime | None = None

    def is_listed_no_longer(self, now: datetime) -> bool:
        """Has it ended so long ago that KMS cannot list it still?"""
        return self.ended_at is not None and now > self.ended_at + LISTED_STILL


@dataclass(frozen=True)
class Ended:
    """What one look led to: the outcomes of those that it closed, as JSON, and whether an owner had to be set again."""

    outcomes: tuple[str, ...]
    restored: bool


class Revocations:
    """Items of kind `grant`, one for each grant of an access; those without `endedAt` are open."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def note(self, noted: Revocation, look_id: str, seen: datetime) -> None:
        """Opens one, before anything is done about the grant, unless this look closed it, or it is gone since it was seen.

        While it is open, the first reason counts: what Latchkey may have taken for that one it may have to give back.
        """
        opens: dict[str, Any] = {
            ":access": noted.access_id,
            ":grant": noted.grant_id,
            ":key": noted.key_arn,
            ":secret": noted.secret_arn,
            ":reason": noted.reason,
        }
        opens |= {":now": now_text(), ":none": 0}
        update = "SET accessId = :access, grantId = :grant, keyArn = :key, secretArn = :secret"
        update += ", notedAt = if_not_exists(notedAt, :now), tries = if_not_exists(tries, :none), reason = "
        item_id = _id(noted)
        if self._if_open(item_id, f"{update}if_not_exists(reason, :reason)", opens) is None:
            values = opens | {":seen": seen.astimezone(UTC).isoformat(timespec="milliseconds"), ":look": look_id, ":no": False}
            update += ":reason REMOVE endedAt, endedBy, gone, outcome, taken, restoringAt"
            with suppress(ConditionFailed):
                self._table.update("grant", item_id, update, "endedAt < :seen OR (gone = :no AND endedBy <> :look)", values)

    def open(self, access_id: str = "") -> list[Revocation]:
        """The open ones of an access, or of all."""
        items = self._table.query("grant", f"{access_id} " if access_id else "", without="endedAt")
        return [_revocation(item) for item in items]

    def taken(self, access_id: str = "") -> list[Revocation]:
        """Those of an access, or of all, that ended with a grant that Latchkey took, or may have taken."""
        items = self._table.query("grant", f"{access_id} " if access_id else "")
        return [_revocation(item) for item in items if item.get("taken")]

    def settle(self, revocation: Revocation) -> None:
        """Notes that the owner has another grant by now: whoever takes that, it is not Latchkey."""
        with suppress(ConditionFailed):
            self._table.update("grant", _id(revocation), "SET taken = :no", "taken = :yes", {":no": False, ":yes": True})

    def ended(self, access_id: str, look_id: str) -> Ended:
        """What one look of an access led to; that it set an owner again counts, whoever closed what that was for."""
        items = [*self._table.query("grant", f"{access_id} ")]
        closed = [item for item in items if item.get("endedBy") == look_id]
        restored = any("restoringAt" in item for item in closed) or any(look_id in item.get("restoredBy", ()) for item in items)
        return Ended(tuple(item["outcome"] for item in closed), restored)

    def read(self, revocation: Revocation) -> Revocation:
        """What is known of one now."""
        return next(_revocation(item) for item in self._table.query("grant", _id(revocation)) if item["id"] == _id(revocation))

    def begin(self, revocation: Revocation) -> Revocation | None:
        """Notes, before the call, that Latchkey is about to revoke; gives what is known now, or None if it was closed."""
        item = self._if_open(_id(revocation), "ADD tries :one", {":one": 1})
        return _revocation(item) if item else None

    def take_back(self, revocation: Revocation) -> None:
        """Notes, after the call, that it was refused."""
        self._if_open(_id(revocation), "ADD tries :one", {":one": -1})

    def confirm(self, revocation: Revocation) -> None:
        """Notes, after the call, that Latchkey revoked."""
        self._if_open(_id(revocation), "SET revokedAt = :now", {":now": now_text()})

    def note_vanished(self, revocation: Revocation) -> None:
        """Notes that the grant is listed no longer, before a service may make one of the same id."""
        self._if_open(_id(revocation), "SET vanishedAt = :now", {":now": now_text()})

    def note_restoring(self, revocation: Revocation, look_id: str) -> None:
        """Notes, before the call, that a look sets the owner again, also if another has closed the revocation meanwhile."""
        values = {":now": now_text(), ":look": {look_id}}
        self._table.update("grant", _id(revocation), "SET restoringAt = :now ADD restoredBy :look", None, values)

    def end(self, revocation: Revocation, look_id: str, outcome: WireModel, *, gone: bool, taken: bool) -> None:
        """Closes one: the grant is gone, or it is not to go. The outcome stays as evidence; the first one counts.

        `taken`: Latchkey took the grant, or may have.
        """
        told = outcome.model_dump_json(by_alias=True)
        values = {":now": now_text(), ":look": look_id, ":outcome": told, ":gone": gone, ":taken": taken}
        update = "SET endedAt = :now, endedBy = :look, outcome = :outcome, gone = :gone, taken = :taken"
        self._if_open(_id(revocation), f"{update} REMOVE notedAt, tries, revokedAt, vanishedAt, irrevocableAt", values)

    def mark_irrevocable(self, revocation: Revocation) -> None:
        """Notes that it could not be revoked: it stays open, so that the sweep tries again."""
        self._if_open(_id(revocation), "SET irrevocableAt = :now", {":now": now_text()})

    def _if_open(self, item_id: str, update: str, values: dict[str, Any]) -> dict[str, Any] | None:
        with suppress(ConditionFailed):
            return self._table.update("grant", item_id, update, "attribute_not_exists(endedAt)", values)
        return None


@cache
def revocations() -> Revocations:
    """Those of this stack."""
    return Revocations(Table(clients.dynamodb(), settings().access_table))


def _id(revocation: Revocation) -> str:
    return f"{revocation.access_id} {revocation.grant_id}"


def _revocation(item: dict[str, Any]) -> Revocation:
    return Revocation(
        access_id=item["accessId"],
        grant_id=item["grantId"],
        key_arn=item["keyArn"],
        reason=item["reason"],
        secret_arn=item["secretArn"],
        tries=int(item.get("tries", 0)),
        revoked="revokedAt" in item,
        vanished="vanishedAt" in item or "endedAt" in item,
        ended_at=datetime.fromisoformat(item["endedAt"]) if "endedAt" in item else None,
    )
