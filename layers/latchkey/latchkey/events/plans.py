"""What a request would do: the members of the outcome `Access Planned`. None of them is a secret value."""

from __future__ import annotations

from typing import Any, Literal

from latchkey.policies import Statement
from latchkey.wire import WireModel

Action = Literal["create", "update", "adopt", "remove", "none"]


class ChangedStatement(WireModel):
    """A statement that keeps its Sid, before and after the change."""

    before: Statement
    after: Statement


class PolicyChange(WireModel):
    """How a policy document would change, by statement. `name` says which document of the resource it is."""

    name: str
    added: tuple[Statement, ...] = ()
    removed: tuple[Statement, ...] = ()
    changed: tuple[ChangedStatement, ...] = ()


class SettingChange(WireModel):
    """A setting with its present value and the one that it would have; null where it has none. Never a secret value."""

    name: str
    before: Any = None
    after: Any = None


class Change(WireModel):
    """What would happen to one resource. `name` is its ARN, or its name if it has no ARN yet.

    `kind` is key, alias, secret, role, grant, or the kind of the consumer resource in the access ID. `adopt` is the first use
    of a resource that Latchkey did not create. `none` means that the request uses the resource as it is.
    """

    action: Action
    kind: str
    name: str
    settings: tuple[SettingChange, ...] = ()
    policies: tuple[PolicyChange, ...] = ()


class Call(WireModel):
    """A call that would be made, as `service:Operation`, and how often."""

    operation: str
    count: int


class MissingPermission(WireModel):
    """An action that a principal needs for a planned call and is not allowed, according to the IAM policy simulator."""

    principal: str
    action: str
    resource: str


class Plan(WireModel):
    """What a request would do. `content` is a hash of the request. `reads` has a hash of each thing that was read, by name.

    `calls` are those that change something; reads, and calls that AWS services make on behalf of Latchkey, are not counted.
    `permissions` are those that are missing. `monthlyCost` is what the added resources cost, in USD. `planHash` covers the
    request, what was read and what would be done.
    """

    content: str
    reads: dict[str, str]
    changes: tuple[Change, ...]
    calls: tuple[Call, ...]
    permissions: tuple[MissingPermission, ...]
    monthly_cost: float
    plan_hash: str
