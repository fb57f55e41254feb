"""The settings of resources before their first onboarding, in the items of kind `access`."""

from __future__ import annotations

import json
from typing import Any

from latchkey.access.former_settings import FormerSettings
from latchkey.registry.table import Table


class FormerSettingsOfAccesses:
    """Reads and writes them. Accesses that an earlier version recorded have none."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, access_id: str) -> FormerSettings | None:
        """The former settings of the resource of an access, or None if they are not recorded."""
        text = self._table.get("access", access_id).get("formerSettings")
        noted: dict[str, Any] | None = json.loads(text) if text else None
        return FormerSettings(noted["found"], noted["left"]) if noted else None

    def note(self, access_id: str, settings: FormerSettings) -> None:
        """Records the former settings of the resource of an access."""
        text = json.dumps({"found": settings.found, "left": settings.left})
        self._table.update("access", access_id, "SET formerSettings = :settings", None, {":settings": text})
