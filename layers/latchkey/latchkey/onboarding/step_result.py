"""The result of an onboarding step."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, computed_field, model_validator

from latchkey.wire import WireModel


class StepResult(WireModel):
    """The ARN that the step has ensured. `settlesFrom` is the time from which its tags and policies propagate, if it is known.

    A key policy, and the tags that express consent, can take minutes to apply everywhere:
    https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency
    """

    arn: str
    changed: bool
    # After the validator below, pydantic no longer knows that the text comes from JSON.
    settles_from: Annotated[datetime | None, Field(strict=False)] = None

    @computed_field  # type: ignore[prop-decorator]  # mypy does not support a decorator on a property
    @property
    def created(self) -> datetime | None:
        """The name of `settlesFrom` in the state machine of version 0.1.0, whose executions can still be running."""
        return self.settles_from

    @model_validator(mode="before")
    @classmethod
    def _accept_former_name(cls, members: Any) -> Any:
        """Uses the later of both times, because a state machine passes on only the one that it knows."""
        if not isinstance(members, dict) or "created" not in members:
            return members
        present = {name: value for name, value in members.items() if name != "created"}
        times = [time for time in (members["created"], members.get("settlesFrom")) if time is not None]
        return present | ({"settlesFrom": max(times, key=datetime.fromisoformat)} if times else {})
