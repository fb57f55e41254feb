"""The input of an onboarding execution."""

from __future__ import annotations

from latchkey.errors import Problem
from latchkey.registry.requests import RequestRef
from latchkey.requests.parsing import AnyOnboarding
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel


class ExecutionInput(WireModel):
    """The input of an onboarding execution. `receive_request` sends every member.

    A request that cannot be parsed has no `request`, only its `problems`. `tenant` and `sender_account` come from the envelope
    of the event `event_id`, which IAM can limit. `confirms` is true for a `Handoff Confirmed`. The defaults are for executions
    that an earlier version started, which omitted unknown members.
    """

    request_id: str
    content_hash: str
    system: str | None = None
    access_id: str | None = None
    request: AnyOnboarding | None = None
    tenant: str = DEFAULT_TENANT
    sender_account: str = ""
    event_id: str | None = None
    confirms: bool = False
    problems: tuple[Problem, ...] = ()

    @property
    def ref(self) -> RequestRef:
        """The identity of the request in the registry."""
        return RequestRef(self.request_id, self.content_hash, self.tenant)
