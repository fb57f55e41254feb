"""What Latchkey says at the end of a request: one outcome, recorded once and published at least once."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, ValidationError

from latchkey import errors
from latchkey.systems.system import Handoff
from latchkey.wire import WireModel

DetailType = Literal["Access Onboarded", "Access Handed Off", "Request Rejected", "Request Failed"]


class CheckResult(WireModel):
    """One check of the finished access; the evidence names what was seen, never a value."""

    name: str
    passed: bool
    evidence: str


class ProblemFound(WireModel):
    """One thing wrong with the request: the place (a JSON path) and the rule it breaks."""

    place: str
    rule: str


class Failure(WireModel):
    """What failed: the class name of the error and its message."""

    name: str
    message: str


class Resources(WireModel):
    """ARNs and ids of what serves the access."""

    key_arn: str | None = None
    secret_arn: str | None = None
    role_arn: str | None = None
    resource_arn: str | None = None
    grant_id: str | None = None


class Outcome(WireModel):
    """The detail of every outcome event. `outcomeId` tells a second delivery from a second outcome."""

    version: Literal["1"] = "1"
    request_id: str
    outcome_id: str
    access_id: str | None = None
    system: str | None = None
    status: Literal["active", "handed-off", "unchanged", "rejected", "failed"]
    changed: bool
    checks: tuple[CheckResult, ...] = ()
    resources: Resources = Resources()
    errors: tuple[ProblemFound, ...] = ()
    failure: Failure | None = None
    undone: tuple[str, ...] = ()
    execution_arn: str = Field(pattern=r"^arn:")


class AccessOnboarded(Outcome):
    """The access works: every check passed. `unchanged` says that it did so before the request.

    `effectDelaySeconds` is how long the service may go on with what it read before.
    """

    access_id: str
    system: str
    status: Literal["active", "unchanged"]
    checks: tuple[CheckResult, ...]
    effect_delay_seconds: int | None = None


class AccessHandedOff(Outcome):
    """All is made but what a person, or a template of its owner, must set: `handoff` says what.

    A `Handoff Confirmed` with the access id ends it; every check but those of the resource has passed.
    """

    access_id: str
    system: str
    status: Literal["handed-off", "unchanged"]
    checks: tuple[CheckResult, ...]
    handoff: Handoff
    effect_delay_seconds: int | None = None


class RequestRejected(Outcome):
    """The request cannot be carried out as asked, for all the reasons in `errors`; nothing was changed."""

    status: Literal["rejected"]
    changed: Literal[False]
    errors: tuple[ProblemFound, ...]


class RequestFailed(Outcome):
    """The request was sound, but something on the way failed; `undone` was taken back of what it had made.

    `changed` is true only if that could not be done whole; then the tag `latchkey:request` shows what is left.
    """

    status: Literal["failed"]
    failure: Failure


OUTCOMES: dict[DetailType, type[Outcome]] = {
    "Access Onboarded": AccessOnboarded,
    "Access Handed Off": AccessHandedOff,
    "Request Rejected": RequestRejected,
    "Request Failed": RequestFailed,
}


class _Problems(WireModel):
    problems: tuple[ProblemFound, ...]


def _json(text: str) -> Any:
    """A JSON document, or None if the text is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class CaughtError(WireModel):
    """What Step Functions' Catch hands on: the error's class name and, from a Lambda function, JSON with its message."""

    error: str = Field(alias="Error")
    cause: str = Field(default="", alias="Cause")

    @property
    def message(self) -> str:
        """The message of our own errors, which hold no value; of any other error only its name is told."""
        own = getattr(errors, self.error, None)
        if not (isinstance(own, type) and issubclass(own, errors.LatchkeyError)):
            return ""
        told = _json(self.cause)
        message = told.get("errorMessage") if isinstance(told, dict) else None
        # Half a character can be told in no event.
        return message.encode(errors="replace").decode() if isinstance(message, str) else ""

    @property
    def problems(self) -> tuple[ProblemFound, ...]:
        """The problems an InvalidRequest lists, or none if its message is of another form."""
        try:
            return _Problems.model_validate_json(self.message).problems
        except ValidationError:
            return ()
