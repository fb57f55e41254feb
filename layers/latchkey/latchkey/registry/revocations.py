"""Items of kind `grant`: grants that may have to be revoked, recorded before the call and kept afterwards as evidence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from latchkey.registry.table import ConditionFailed, Table, now_text
from latchkey.wire import WireModel

# ListGrants can return a revoked grant for up to five minutes. Doubled to allow for clock differences:
# https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
LISTED_STILL = timedelta(minutes=10)


@dataclass(frozen=True)
class Revocation:
    """A grant that may have to be revoked, and the reason that the first survey gave.

    `tries` counts the attempts of all executions. `secret_arn` is the secret in the constraint of the grant, or None if the
    constraint names the resource. `unlisted` is true if ListGrants once omitted the grant, so that a listed grant with its id
    is a new one. `irrevocable_since` is when an execution first could not revoke it, and `failure` the class name and message
    of the error that ended the last attempt. `restoring` is true if the resource was updated to get a new grant, and
    `altered_from` are its settings while it has altered ones for that. `ended_at` is None while the revocation is open.
    """

    access_id: str
    grant_id: str
    key_arn: str
    reason: str
    secret_arn: str | None = None
    tries: int = 0
    revoked: bool = False
    unlisted: bool = False
    irrevocable_since: datetime | None = None
    failure: tuple[str, str] | None = None
    restoring: bool = False
    altered_from: Mapping[str, Any] | None = field(default=None, hash=False)
    ended_at: datetime | None = None

    @property
    def irrevocable(self) -> bool:
        """Whether an earlier execution could not revoke the grant."""
        return self.irrevocable_since is not None

    def is_no_longer_listed(self, now: datetime) -> bool:
        """Whether the revocation was closed so long ago that ListGrants cannot still return the grant."""
        return self.ended_at is not None and now > self.ended_at + LISTED_STILL


@dataclass(frozen=True)
class Ended:
    """The outcomes (as JSON) of the revocations that one survey closed, and whether the survey restored access."""

    outcomes: tuple[str, ...]
    restored: bool


@dataclass(frozen=True)
class UnreportedSurvey:
    """A survey that closed revocations, the last one at `ended_at`, but whose event is not recorded yet."""

    access_id: str
    survey_id: str
    ended_at: datetime


class Revocations:
    """One item for each grant of an access. An item without `endedAt` is open."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def note(self, noted: Revocation, survey_id: str, seen: datetime) -> None:
        """Opens a revocation before the grant is revoked.

        A closed revocation is opened again if it was closed before the grant was `seen`, or if another survey closed it and
        kept the grant. While it is open, its first reason stays: it decides whether Latchkey must restore access.
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
            values = opens | {
                ":seen": seen.astimezone(UTC).isoformat(timespec="milliseconds"),
                ":look": survey_id,
                ":no": False,
            }
            update += ":reason REMOVE endedAt, endedBy, gone, outcome, taken, unreported, restoringAt"
            with suppress(ConditionFailed):
                self._table.update("grant", item_id, update, "endedAt < :seen OR (gone = :no AND endedBy <> :look)", values)

    def open(self, access_id: str = "") -> list[Revocation]:
        """The open revocations of one access, or of all accesses."""
        items = self._table.query("grant", f"{access_id} " if access_id else "", without="endedAt")
        return [_revocation(item) for item in items]

    def revoked_by_us(self, access_id: str = "") -> list[Revocation]:
        """The closed revocations, of one access or of all, whose grant Latchkey revoked or might have revoked."""
        items = self._table.query("grant", f"{access_id} " if access_id else "")
        return [_revocation(item) for item in items if item.get("taken")]

    def forget_revocation(self, revocation: Revocation) -> None:
        """Records that the resource has a new grant. If that grant disappears, Latchkey did not revoke it."""
        with suppress(ConditionFailed):
            self._table.update("grant", _id(revocation), "SET taken = :no", "taken = :yes", {":no": False, ":yes": True})

    def ended(self, access_id: str, survey_id: str) -> Ended:
        """The result of one survey of an access. A restore counts even if another survey closed the revocation."""
        items = [*self._table.query("grant", f"{access_id} ")]
        closed = [item for item in items if item.get("endedBy") == survey_id]
        restored = any("restoringAt" in item for item in closed) or any(
            survey_id in item.get("restoredBy", ()) for item in items
        )
        return Ended(tuple(item["outcome"] for item in closed), restored)

    def has_removed_since(self, access_id: str, since: datetime | None) -> bool:
        """Whether a grant of the access was revoked or found to be gone after `since` or, if it is None, at any time."""
        ended = (datetime.fromisoformat(item["endedAt"]) for item in self._closed(access_id) if item.get("gone"))
        return any(since is None or at >= since for at in ended)

    def removed_since(self, access_id: str, since: datetime) -> tuple[str, ...]:
        """The outcomes (as JSON) of the grants of an access that were revoked or found to be gone after `since`."""
        gone = (item for item in self._closed(access_id) if item.get("gone"))
        return tuple(item["outcome"] for item in gone if datetime.fromisoformat(item["endedAt"]) >= since)

    def unreported(self, access_id: str = "") -> list[UnreportedSurvey]:
        """The surveys of one or all accesses that closed a revocation that no report has recorded in an event yet."""
        found: dict[tuple[str, str], datetime] = {}
        for item in self._closed(access_id):
            if item.get("unreported"):
                survey, at = (item["accessId"], item["endedBy"]), datetime.fromisoformat(item["endedAt"])
                found[survey] = max(at, found.get(survey, at))
        return [UnreportedSurvey(*survey, at) for survey, at in found.items()]

    def note_reported(self, access_id: str, survey_id: str) -> None:
        """Records that the event about the closed revocations of a survey is recorded."""
        for item in self._closed(access_id):
            if item.get("unreported") and item["endedBy"] == survey_id:
                with suppress(ConditionFailed):
                    self._table.update("grant", item["id"], "REMOVE unreported", "endedBy = :look", {":look": survey_id})

    def _closed(self, access_id: str) -> Iterator[dict[str, Any]]:
        items = self._table.query("grant", f"{access_id} " if access_id else "")
        return (item for item in items if "endedAt" in item)

    def read(self, revocation: Revocation) -> Revocation:
        """The current state of a revocation."""
        return next(_revocation(item) for item in self._table.query("grant", _id(revocation)) if item["id"] == _id(revocation))

    def begin(self, revocation: Revocation) -> Revocation | None:
        """Records an attempt before the call. Returns the current state, or None if the revocation was closed."""
        item = self._if_open(_id(revocation), "ADD tries :one", {":one": 1})
        return _revocation(item) if item else None

    def note_denied(self, revocation: Revocation) -> None:
        """Records after the call that it was denied. A denied call does not count as an attempt."""
        self._if_open(_id(revocation), "ADD tries :one", {":one": -1})

    def note_failure(self, revocation: Revocation, name: str, message: str) -> None:
        """Records the error that ended an attempt."""
        self._if_open(_id(revocation), "SET failure = :failure", {":failure": json.dumps({"name": name, "message": message})})

    def confirm(self, revocation: Revocation) -> None:
        """Records after the call that Latchkey revoked the grant."""
        self._if_open(_id(revocation), "SET revokedAt = :now", {":now": now_text()})

    def note_unlisted(self, revocation: Revocation) -> None:
        """Records that ListGrants omits the grant, so that a later grant with the same id is recognized as new."""
        self._if_open(_id(revocation), "SET vanishedAt = :now", {":now": now_text()})

    def note_restoring(self, revocation: Revocation, survey_id: str) -> None:
        """Records before the call that a survey restores access. The revocation can be closed."""
        values = {":now": now_text(), ":look": {survey_id}}
        self._table.update("grant", _id(revocation), "SET restoringAt = :now ADD restoredBy :look", None, values)

    def note_altering(self, revocation: Revocation, full_settings: Mapping[str, Any]) -> None:
        """Records the settings of the resource before they are altered. The revocation can be closed."""
        values = {":settings": json.dumps(full_settings)}
        self._table.update("grant", _id(revocation), "SET alteredFrom = :settings", None, values)

    def note_put_back(self, revocation: Revocation) -> None:
        """Records that the resource no longer has altered settings."""
        self._table.update("grant", _id(revocation), "REMOVE alteredFrom", None, {})

    def end(self, revocation: Revocation, survey_id: str, outcome: WireModel, *, gone: bool, by_us: bool) -> None:
        """Closes a revocation unless it is closed. The outcome is kept as evidence.

        `gone` is false if the grant is kept. `by_us` is true if Latchkey revoked the grant or might have revoked it.
        """
        text = outcome.model_dump_json(by_alias=True)
        values = {":now": now_text(), ":look": survey_id, ":outcome": text, ":gone": gone, ":taken": by_us, ":yes": True}
        update = "SET endedAt = :now, endedBy = :look, outcome = :outcome, gone = :gone, taken = :taken, unreported = :yes"
        self._if_open(_id(revocation), f"{update} REMOVE notedAt, tries, revokedAt, vanishedAt, irrevocableAt, failure", values)

    def mark_irrevocable(self, revocation: Revocation) -> Revocation | None:
        """Records that the grant could not be revoked, and returns the current state, or None if the revocation was closed.

        The revocation stays open, so that the sweep tries again. The time of the first failure stays.
        """
        update = "SET irrevocableAt = if_not_exists(irrevocableAt, :now)"
        item = self._if_open(_id(revocation), update, {":now": now_text()})
        return _revocation(item) if item else None

    def _if_open(self, item_id: str, update: str, values: dict[str, Any]) -> dict[str, Any] | None:
        with suppress(ConditionFailed):
            return self._table.update("grant", item_id, update, "attribute_not_exists(endedAt)", values)
        return None


def _failure(text: str) -> tuple[str, str]:
    failure = json.loads(text)
    return failure["name"], failure["message"]


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
        unlisted="vanishedAt" in item or "endedAt" in item,
        irrevocable_since=datetime.fromisoformat(item["irrevocableAt"]) if "irrevocableAt" in item else None,
        failure=_failure(item["failure"]) if "failure" in item else None,
        restoring="restoringAt" in item,
        altered_from=json.loads(item["alteredFrom"]) if "alteredFrom" in item else None,
        ended_at=datetime.fromisoformat(item["endedAt"]) if "endedAt" in item else None,
    )
