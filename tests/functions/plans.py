"""What tests of plan_access compare: the planned calls and changes, and the account before and after."""

from __future__ import annotations

from typing import Any

from tests.functions.account import Account


def counted(made: dict[str, Any]) -> dict[str, int]:
    """How often a plan makes each call."""
    return {call["operation"]: call["count"] for call in made["calls"]}


def change(made: dict[str, Any], kind: str) -> dict[str, Any]:
    """The one change of a plan to a resource of a kind."""
    [found] = [one for one in made["changes"] if one["kind"] == kind]
    return dict(found)


def unchanged(account: Account) -> dict[str, Any]:
    """The account without the items of requests and plans, which every request leaves."""
    snapshot = account.snapshot()
    return snapshot | {"table": [item for item in snapshot["table"] if item["kind"]["S"] not in ("request", "plan")]}
