"""The keys on which the service of an access can hold a grant. They are part of the item of kind `access`."""

from __future__ import annotations

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


class GrantKeys:
    """Reads and writes the keys. A key outlives the request that added it, because a grant can."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of(self, access_id: str) -> frozenset[str]:
        """All keys on which the service of the access can hold a grant, including previous keys."""
        return grant_keys_of(self._table.get("access", access_id))

    def note(self, access_id: str, key_arn: str) -> None:
        """Records a key on which the service can hold a grant from now on, before the resource is configured."""
        values = {":now": now_text(), ":keys": {key_arn}}
        self._table.update("access", access_id, "SET grantKeysAt = :now ADD grantKeys :keys", None, values)

    def forget(self, access_id: str, key_arn: str) -> None:
        """Removes a key on which no grant is listed, unless a request is running or ListGrants might still omit a grant."""
        settled = (datetime.now(UTC) - UNLISTED).isoformat(timespec="milliseconds")
        condition = "attribute_not_exists(running) AND (attribute_not_exists(grantKeysAt) OR grantKeysAt < :settled)"
        with suppress(ConditionFailed):
            values = {":keys": {key_arn}, ":settled": settled}
            self._table.update("access", access_id, "DELETE grantKeys :keys", condition, values)
