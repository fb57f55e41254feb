"""What an execution of a rotation does, and what each of its steps receives."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from latchkey.access.rotating import Rotating
from latchkey.requests.lifecycle import NewValue
from latchkey.requests.parsing import AnyOnboarding
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel


class RotationPlan(WireModel):
    """What the state machine branches on. It is recorded in the journal, so that an execution that resumes has the same plan.

    A new version is added and becomes the current one in place of `former`. `promotes`: it exists, and was confirmed.
    `withdraws`: it exists, and does not become the current one. `waits`: those at the other end must act before it does, at the
    latest at `until`. `revokes`: its value is stored again as the version `second`, so that the former value is not even the
    previous one. The token has `shortest` to `longest` characters.

    `readers` are the accesses that read the secret. `began` is when the request was checked.

    `toPlan`: the rotation has not begun, and plan_access runs next. After it, a request that is `planOnly` ends, and any other
    is checked again.

    `isApplied`: the resources of the accesses `updates` must be configured again. `isCached`: a service can accept only the
    former token for `waitSeconds`.
    """

    access_id: str
    key_arn: str
    secret_arn: str
    version: str
    former: str
    second: str | None = None
    value: NewValue | None = None
    shortest: int = 0
    longest: int = 0
    began: Annotated[AwareDatetime, Field(strict=False)]
    until: Annotated[AwareDatetime, Field(strict=False)]
    promotes: bool = False
    withdraws: bool = False
    waits: bool = False
    revokes: bool = False
    is_applied: bool = False
    updates: tuple[str, ...] = ()
    is_cached: bool = False
    wait_seconds: int = 0
    readers: tuple[str, ...] = ()
    to_plan: bool = False
    plan_only: bool = False

    def phase(self, *, is_pending: bool = False) -> dict[str, Any]:
        """The JSON document of the facts that the phase `rotating` of the access needs."""
        rotating = Rotating(
            secretArn=self.secret_arn,
            version=self.version,
            former=self.former,
            second=self.second,
            until=self.until,
            readers=self.readers,
            isPending=is_pending,
        )
        return rotating.model_dump(mode="json", by_alias=True)


class RotationStep(WireModel):
    """The recorded request under the ID of this request, its tenant, the first execution of the request, and its plan."""

    request: AnyOnboarding
    tenant: str = DEFAULT_TENANT
    execution_arn: str
    plan: RotationPlan
