"""What every step of an onboarding receives."""

from __future__ import annotations

from dataclasses import replace

from latchkey.access.desired import Desired, desire
from latchkey.events.findings import Repair
from latchkey.requests.parsing import AnyOnboarding
from latchkey.settings import Settings
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel


class StepInput(WireModel):
    """A request that has passed its rules, the tenant that sent it, and its execution.

    `companions` are the requests of other accesses that move to another key together with this one. `repair` is what the
    execution repairs, if it does. The defaults are for executions that an earlier version started, which have no tenant and do
    not pass their ARN.
    """

    request: AnyOnboarding
    tenant: str = DEFAULT_TENANT
    execution_arn: str | None = None
    companions: tuple[AnyOnboarding, ...] = ()
    repair: Repair | None = None

    @property
    def requests(self) -> tuple[AnyOnboarding, ...]:
        """The requests of all accesses that the execution changes. The one that was sent is the last."""
        return (*self.companions, self.request)

    def desired(self, settings: Settings) -> list[Desired]:
        """The desired states of these accesses. A repair also brings our statements into their present form."""
        found = [desire(request, settings, self.tenant) for request in self.requests]
        return [replace(one, rewrites=self.repair is not None) for one in found]
