"""What is known about the values of a secret: the versions that Latchkey accepts, and when it last rotated the token.

These are attributes of the item of kind `resource` of the secret.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from latchkey.registry.table import ConditionFailed, Table


class Tokens:
    """Version IDs are public: they are in events, and no value can be derived from them."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def note_acceptance(self, secret: str, *versions: str) -> None:
        """Records the versions that an onboarding accepts or creates, and when the first onboarding did."""
        values = {":versions": {*versions}, ":now": datetime.now(UTC).isoformat()}
        update = "SET tokenSince = if_not_exists(tokenSince, :now) ADD tokenVersions :versions"
        self._table.update("resource", secret, update, None, values)

    def forget(self, secret: str, access_id: str) -> None:
        """Forgets the token of a secret that was deleted for good, because another secret gets its name.

        If another access refers to the secret, only the times are forgotten, since that access can create and use the secret at
        any time. The IDs of versions that no longer exist have no effect.
        """
        only = "attribute_not_exists(accesses) OR accesses = :only"
        try:
            update = "REMOVE tokenSince, rotatedAt, tokenVersions"
            self._table.update("resource", secret, update, only, {":only": {access_id}})
        except ConditionFailed:
            self._table.update("resource", secret, "REMOVE tokenSince, rotatedAt", None, {})

    def note_versions(self, secret: str, *versions: str) -> None:
        """Records versions that a rotation is about to create."""
        self._table.update("resource", secret, "ADD tokenVersions :versions", None, {":versions": {*versions}})

    def versions(self, secret: str) -> frozenset[str]:
        """The accepted versions. Empty if no request of this version of Latchkey or a later one has used the secret."""
        return frozenset(self._table.get("resource", secret).get("tokenVersions", ()))

    def note_rotation(self, secret: str, began: datetime) -> None:
        """Records that the token of a secret was rotated by the rotation that began at this time."""
        self._table.update("resource", secret, "SET rotatedAt = :began", None, {":began": began.isoformat()})

    def last_rotation(self, secret: str) -> str | None:
        """What `note_rotation` last recorded, for `restore_rotation`."""
        noted = self._table.get("resource", secret).get("rotatedAt")
        return str(noted) if noted else None

    def restore_rotation(self, secret: str, began: datetime, previous: str | None) -> None:
        """Records an earlier `last_rotation` again, because the rotation that began at this time was rolled back.

        Does nothing if that rotation was not recorded, or another one was since.
        """
        values = {":began": began.isoformat()} | ({":previous": previous} if previous else {})
        update = "SET rotatedAt = :previous" if previous else "REMOVE rotatedAt"
        with suppress(ConditionFailed):
            self._table.update("resource", secret, update, "rotatedAt = :began", values)

    def rotated_at(self, secret: str) -> datetime | None:
        """When the token of a secret was last rotated or, if it never was, first used. None if neither is recorded."""
        item = self._table.get("resource", secret)
        noted = item.get("rotatedAt", item.get("tokenSince"))
        return datetime.fromisoformat(noted) if noted else None
