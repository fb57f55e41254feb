"""The result of an onboarding step."""

from __future__ import annotations

from datetime import datetime

from latchkey.wire import WireModel


class StepResult(WireModel):
    """What is there now. `created` is the time from which tags and policies need to settle, if that is known.

    The policy of a key and the tags that consent to its use may count everywhere only minutes after they were set.
    https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency
    """

    arn: str
    changed: bool
    created: datetime | None = None
