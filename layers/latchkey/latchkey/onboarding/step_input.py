"""What every step of an onboarding receives."""

from __future__ import annotations

from latchkey.requests.parsing import AnyOnboarding
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel


class StepInput(WireModel):
    """A request that has passed its rules, the tenant that sent it, and its execution.

    The defaults are for executions that an earlier version started, which have no tenant and do not pass their ARN.
    """

    request: AnyOnboarding
    tenant: str = DEFAULT_TENANT
    execution_arn: str | None = None
