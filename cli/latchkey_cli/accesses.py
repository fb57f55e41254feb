"""Finds accesses in the registry."""

from __future__ import annotations

from latchkey.registry.accesses import KnownAccess
from latchkey_cli.connection import Connection
from latchkey_cli.problems import REJECTED, CliProblem


def find_access(connection: Connection, access_id: str) -> KnownAccess:
    """The access with this ID, or the only one with this name. Raises CliProblem with those that are similar."""
    every = {one.access_id: one for one in connection.registry.accesses.all()}
    if access_id in every:
        return every[access_id]
    same_end = [name for name in every if name.endswith(f"/{access_id}")]
    if len(same_end) == 1:
        return every[same_end[0]]
    near = same_end or [name for name in every if access_id.lower() in name.lower()]
    hint = f"Did you mean {', '.join(sorted(near)[:3])}?" if near else "`latchkey status --all` lists all accesses."
    raise CliProblem(f"There is no access {access_id}.", hint, REJECTED)
