"""The input of an onboarding execution."""

from __future__ import annotations

from latchkey.requests.parsing import AnyOnboarding
from latchkey.wire import WireModel


class ExecutionInput(WireModel):
    """What receive_request starts an execution with."""

    request_id: str
    content_hash: str
    system: str | None = None
    access_id: str | None = None
    request: AnyOnboarding | None = None
    confirms: bool = False
    problems: tuple[dict[str, str], ...] = ()
