"""The journal of an access: what a request changes, recorded before the call so that it can be rolled back after a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from latchkey.registry.table import ConditionFailed, Table, now_text

# ListGrants can omit a new grant for up to five minutes. Doubled to allow for clock differences:
# https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
UNLISTED = timedelta(minutes=10)


def grant_keys_of(item: Mapping[str, Any]) -> frozenset[str]:
    """The keys on which the service of an access can hold a grant, from the item of the access."""
    return frozenset(item.get("grantKeys", ())) | ({item["keyArn"]} if "keyArn" in item else set())


class Journal:
    """Reads and writes the journal, which is part of the item of kind `access`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def note_former(self, access_id: str, former: Mapping[str, Any] | None, grant_key_arn: str | None) -> None:
        """Records the settings of the resource before this request changes them. Later calls do not overwrite them.

        `former` is None if the resource does not exist. `grant_key_arn` is the key on which the service can hold a grant
        from now on, or None if the service creates no grants.
        """
        values: dict[str, Any] = {":former": json.dumps(former)}
        update = "SET former = if_not_exists(former, :former)"
        if grant_key_arn:
            update = f"{update}, grantKeysAt = :now ADD grantKeys :keys"
            values |= {":now": now_text(), ":keys": {grant_key_arn}}
        self._table.update("access", access_id, update, None, values)

    def former(self, access_id: str) -> tuple[bool, Any]:
        """Whether the running request recorded former settings of the resource, and these settings."""
        noted = self._table.get("access", access_id).get("former")
        return noted is not None, json.loads(noted) if noted is not None else None

    def note_undone(self, access_id: str, description: str) -> None:
        """Records a rollback step before it runs, so that a retry after a crash reports the step as well."""
        self._table.update("access", access_id, "ADD undone :step", None, {":step": {description}})

    def undone(self, access_id: str) -> tuple[str, ...]:
        """The recorded rollback steps of the running request, sorted."""
        return tuple(sorted(self._table.get("access", access_id).get("undone", ())))

    def note_role_change(self, access_id: str) -> None:
        """Records that the reader role of the access is about to change. IAM does not report when a role was changed."""
        values = {":now": datetime.now(UTC).isoformat()}
        self._table.update("access", access_id, "SET roleChangedAt = :now", None, values)

    def role_changed(self, access_id: str) -> datetime | None:
        """When the reader role of the access was last created or changed, or None if that is not recorded."""
        noted = self._table.get("access", access_id).get("roleChangedAt")
        return datetime.fromisoformat(noted) if noted else None

    def grant_keys(self, access_id: str) -> frozenset[str]:
        """All keys on which the service of the access can hold a grant, including previous keys."""
        return grant_keys_of(self._table.get("access", access_id))

    def forget_grant_key(self, access_id: str, key_arn: str) -> None:
        """Removes a key on which no grant is listed, unless a request is running or ListGrants might still omit a grant."""
        settled = (datetime.now(UTC) - UNLISTED).isoformat(timespec="milliseconds")
        condition = "attribute_not_exists(running) AND (attribute_not_exists(grantKeysAt) OR grantKeysAt < :settled)"
        with suppress(ConditionFailed):
            values = {":keys": {key_arn}, ":settled": settled}
            self._table.update("access", access_id, "DELETE grantKeys :keys", condition, values)
