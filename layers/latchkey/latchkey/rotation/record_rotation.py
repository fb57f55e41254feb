"""Records the progress of a rotation, and returns the members of its outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from latchkey.access.desired import Desired, desire
from latchkey.aws.secrets import PENDING
from latchkey.events.outcomes import DetailType
from latchkey.registry import Registry
from latchkey.rotation.choreography import Choreography, choreography
from latchkey.rotation.plan import RotationPlan, RotationStep
from latchkey.rotation.readers import readers_of
from latchkey.settings import Settings
from latchkey.wire import WireModel


class RecordRotationInput(RotationStep):
    """`reached`: the new version is pending, it is current, or it was withdrawn."""

    reached: Literal["pending", "rotated", "withdrawn"]


class RotationRecorded(WireModel):
    """The type of the outcome, and the members that only outcomes of this type have."""

    detail_type: DetailType
    result: dict[str, Any]


def record_rotation(event: RecordRotationInput, settings: Settings, registry: Registry) -> RotationRecorded:
    """Records that the rotation waits for its confirmation, or ends the phase `rotating`. A second call changes nothing."""
    plan, desired = event.plan, desire(event.request, settings, event.tenant)
    registry.journal_of(event.execution_arn, desired.access_id, event.tenant)
    readers = [reader for _, reader in readers_of(desired, settings, registry)]
    steps = choreography(readers)
    if event.reached == "pending":
        registry.phases.note(plan.access_id, "rotating", plan.phase(is_pending=True))
        return RotationRecorded(detailType="Token Pending", result=_token_pending(plan, readers, steps))
    if event.reached == "withdrawn":
        registry.phases.end(plan.access_id, "rotating")
        return RotationRecorded(detailType="Rotation Withdrawn", result=_rotation_withdrawn(plan, registry))
    registry.tokens.note_rotation(desired.secret_resource, plan.began)
    registry.phases.end(plan.access_id, "rotating")
    return RotationRecorded(detailType="Token Rotated", result=_token_rotated(plan, steps))


def _token_pending(plan: RotationPlan, readers: list[Desired], steps: Choreography) -> dict[str, Any]:
    roles = sorted({role for one in readers for role in one.request.secret.origin_readers})
    where = f"It is the version {plan.version} of {plan.secret_arn}, which has the label {PENDING}."
    who = f"These roles can read it: {', '.join(roles)}." if roles else "No role of the request can read it: use your own."
    token = {"secretArn": plan.secret_arn, "versionId": plan.version, "versionStage": PENDING, "readers": roles}
    return {
        "status": "rotating",
        "resources": _resources(plan),
        "token": token,
        "until": plan.until.isoformat(),
        "steps": [f"{where} {who}", *steps.before],
    }


def _token_rotated(plan: RotationPlan, steps: Choreography) -> dict[str, Any]:
    """The former token works for as long as the services and those at the other end accept it."""
    kept = "until the next rotation" if steps.keeps_previous else "as long as the other end accepts it"
    former = {"versionId": plan.former, "isAccepted": plan.second is None, "until": None if plan.second else kept}
    return {
        "status": "active",
        "token": {"secretArn": plan.secret_arn, "versionId": plan.second or plan.version},
        "formerToken": {name: value for name, value in former.items() if value is not None},
        "steps": list(steps.after),
    }


def _rotation_withdrawn(plan: RotationPlan, registry: Registry) -> dict[str, Any]:
    """A sweep can have observed another status than the access had when the rotation began."""
    expired = plan.until <= datetime.now(UTC)
    reason = (
        f"nobody confirmed it before {plan.until.isoformat(timespec='seconds')}" if expired else "its withdrawal was requested"
    )
    return {
        "status": registry.phases.state(plan.access_id),
        "resources": _resources(plan),
        "token": {"secretArn": plan.secret_arn, "versionId": plan.version},
        "reason": f"The rotation was withdrawn, because {reason}. The current token stays in use.",
        "steps": [
            "Let the other end stop accepting the token that was pending.",
            "To rotate the token, send Rotation Requested again, and Rotation Confirmed as soon as the other end accepts it.",
        ],
    }


def _resources(plan: RotationPlan) -> dict[str, str]:
    return {"keyArn": plan.key_arn, "secretArn": plan.secret_arn}
