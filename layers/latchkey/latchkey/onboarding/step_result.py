"""The result of an onboarding step."""

from __future__ import annotations

from datetime import datetime

from latchkey.wire import WireModel


class StepResult(WireModel):
    """The ARN that the step has ensured. `created` is the time from which its tags and policies propagate, if it is known.

    A key policy, and the tags that express consent, can take minutes to apply everywhere:
    https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency
    """

    arn: str
    changed: bool
    created: datetime | None = None
