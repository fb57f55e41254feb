"""What every step of an onboarding receives."""

from __future__ import annotations

from latchkey.requests.parsing import AnyOnboarding
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel


class StepInput(WireModel):
    """A request that has passed its rules, the tenant that sent it, and its execution.

    `companions` are the requests of other accesses that move to another key together with this one. The defaults are for
    executions that an earlier version started, which have no tenant and do not pass their ARN.
    """

    request: AnyOnboarding
    tenant: str = DEFAULT_TENANT
    execution_arn: str | None = None
    companions: tuple[AnyOnboarding, ...] = ()

    @property
    def requests(self) -> tuple[AnyOnboarding, ...]:
        """The requests of all accesses that the execution changes. The one that was sent is the last."""
        return (*self.companions, self.request)
