"""What the registry knows of grants that are to go: noted before, finished after, kept as evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from latchkey import aws
from latchkey.documents import Document
from latchkey.settings import settings
from latchkey.table import Table, now_text


@dataclass(frozen=True)
class Revocation:
    """A grant that may have to go. `tries` counts the times that Latchkey set out to revoke it."""

    access_id: str
    grant_id: str
    key_arn: str
    tries: int = 0
    revoked: bool = False


class Revocations:
    """Items of kind `grant`, one for each grant of an access; those without `endedAt` are open."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def note(self, access_id: str, grant_id: str, key_arn: str) -> None:
        """Opens one, before anything is done about the grant."""
        values = {":access": access_id, ":grant": grant_id, ":key": key_arn, ":now": now_text(), ":none": 0}
        update = "SET accessId = :access, grantId = :grant, keyArn = :key, notedAt = if_not_exists(notedAt, :now)"
        update += ", tries = if_not_exists(tries, :none) REMOVE endedAt, outcome"
        self._table.update("grant", f"{access_id} {grant_id}", update, None, values)

    def open(self, access_id: str = "") -> list[Revocation]:
        """The open ones of an access, or of all."""
        items = self._table.query("grant", f"{access_id} " if access_id else "")
        return [_revocation(item) for item in items if "endedAt" not in item]

    def begin(self, revocation: Revocation) -> None:
        """Notes, before the call, that Latchkey is about to revoke."""
        self._table.update("grant", _id(revocation), "ADD tries :one", None, {":one": 1})

    def confirm(self, revocation: Revocation) -> None:
        """Notes, after the call, that Latchkey revoked."""
        self._table.update("grant", _id(revocation), "SET revokedAt = :now", None, {":now": now_text()})

    def end(self, revocation: Revocation, outcome: Document) -> None:
        """Closes one: the grant is gone, or it is not to go. The outcome stays as evidence."""
        values = {":now": now_text(), ":outcome": outcome.model_dump_json(by_alias=True)}
        update = "SET endedAt = :now, outcome = :outcome REMOVE notedAt, tries, revokedAt, irrevocableAt"
        self._table.update("grant", _id(revocation), update, None, values)

    def mark_irrevocable(self, revocation: Revocation) -> None:
        """Notes that it could not be revoked: it stays open, so that the sweep tries again."""
        self._table.update("grant", _id(revocation), "SET irrevocableAt = :now", None, {":now": now_text()})


@cache
def revocations() -> Revocations:
    """Those of this stack."""
    return Revocations(Table(aws.dynamodb(), settings().access_table))


def _id(revocation: Revocation) -> str:
    return f"{revocation.access_id} {revocation.grant_id}"


def _revocation(item: dict[str, Any]) -> Revocation:
    return Revocation(
        access_id=item["accessId"],
        grant_id=item["grantId"],
        key_arn=item["keyArn"],
        tries=int(item["tries"]),
        revoked="revokedAt" in item,
    )
