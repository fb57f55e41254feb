"""The input of an execution that carries out a request."""

from __future__ import annotations

from latchkey.errors import Problem
from latchkey.events.findings import Repair
from latchkey.registry.requests import RequestRef
from latchkey.requests.models import ONBOARDING_REQUESTED
from latchkey.requests.parsing import AnyAsked, AnyOnboarding
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel

# The request ID in the input of a reconciliation that the schedule starts, and that nobody has requested.
SCHEDULED = "scheduled"


class ExecutionInput(WireModel):
    """The input of an execution that carries out a request. `receive_request` sends every member.

    `kind` is the detail type of the event. `request` is the onboarding request: the one that was sent or, for any other kind,
    the one that the access last fulfilled, under the new request ID. `asked` is a request of any other kind. A request that
    cannot be parsed has neither, only its `problems`. `tenant` and `sender_account` come from the envelope of the event
    `event_id`, which IAM can limit. `confirms` is true for a `Handoff Confirmed`. `resumes` is the execution that this one
    continues: the lock and the journal belong to it. `repair` is what a repair is about, null for any other
    request. The defaults are for executions that an earlier version started, which omitted unknown members.
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
    kind: str = ONBOARDING_REQUESTED
    asked: AnyAsked = None
    resumes: str | None = None
    repair: Repair | None = None

    @property
    def ref(self) -> RequestRef:
        """The identity of the request in the registry."""
        return RequestRef(self.request_id, self.content_hash, self.tenant)
