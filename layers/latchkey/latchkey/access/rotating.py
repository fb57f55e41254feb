"""What an access in the phase `rotating` needs to continue. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from latchkey.wire import WireModel


class Rotating(WireModel):
    """The facts of the phase: `version` waits to become the current version of the secret, in place of `former`.

    With `second`, the new value is stored a second time, so that the former one is not even the previous value. `isPending`: a
    `Token Pending` was recorded, and the rotation is withdrawn if nobody confirms it before `until`. `readers` are the accesses
    that read the secret when the rotation began.
    """

    secret_arn: str
    version: str
    former: str
    second: str | None = None
    until: Annotated[AwareDatetime, Field(strict=False)]
    is_pending: bool = False
    readers: tuple[str, ...] = ()

    def is_overdue(self, now: datetime) -> bool:
        """Whether nobody confirmed the rotation in time."""
        return self.is_pending and self.until <= now
