"""Models of the requests about a recorded access. They contain its ID; everything else is in its recorded request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from latchkey import formats
from latchkey.formats import named
from latchkey.requests.models import (
    HANDOFF_CONFIRMED,
    ONBOARDING_REQUESTED,
    RECONCILIATION_REQUESTED,
    CopyFrom,
    Generate,
    Mode,
    PlanHash,
    RequestId,
    content_of,
    plan_or_hash,
)
from latchkey.systems import SYSTEMS
from latchkey.wire import WireModel

OFFBOARDING_REQUESTED = "Offboarding Requested"
RESTORATION_REQUESTED = "Restoration Requested"
ROTATION_REQUESTED = "Rotation Requested"
ROTATION_CONFIRMED = "Rotation Confirmed"
BULK_ONBOARDING_REQUESTED = "Bulk Onboarding Requested"
DISCOVERY_REQUESTED = "Discovery Requested"
# Senders put manifests under this prefix of the data bucket, so that a policy can limit what they can write.
MANIFESTS = "manifests/"

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_CHARACTERS = ("A-Za-z0-9!_.*'()/=-", "letters, digits and ! _ . * ' ( ) / = -")
ManifestKey = Annotated[str, named("key of the manifest", *_CHARACTERS, 1024, example="manifests/channels.jsonl")]
_IN_VERSIONS = ("A-Za-z0-9._-", "letters, digits, dots, underscores and hyphens")
VersionId = Annotated[str, named("version of the manifest", *_IN_VERSIONS, 1024)]
# The kind of an execution that repairs an access. Nobody can send it: a reconciliation starts it.
REPAIR_DUE = "Repair Due"
# The detail types that requests can have.
KINDS = (
    BULK_ONBOARDING_REQUESTED,
    DISCOVERY_REQUESTED,
    HANDOFF_CONFIRMED,
    OFFBOARDING_REQUESTED,
    ONBOARDING_REQUESTED,
    RECONCILIATION_REQUESTED,
    RESTORATION_REQUESTED,
    ROTATION_CONFIRMED,
    ROTATION_REQUESTED,
)


class AskedRequest(WireModel):
    """What every request except an onboarding request contains. `requestId` identifies the request and its outcome."""

    version: Literal["1"] = "1"
    request_id: RequestId

    # The detail type of the event.
    kind: ClassVar[str]

    @property
    def wire(self) -> dict[str, Any]:
        """The JSON document of the request, with only the members that were sent."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @property
    def content(self) -> dict[str, Any]:
        """The JSON document that a request has in common with its plan: all but its ID and how it is carried out."""
        return content_of(self.wire)


class AccessRequest(AskedRequest):
    """What every request about a recorded access contains. `mode` and `planHash` are those of an onboarding request."""

    mode: Mode = "apply"
    plan_hash: PlanHash | None = None
    access_id: Annotated[str, formats.ACCESS_ID]

    @model_validator(mode="after")
    def _plans_or_follows_a_plan(self) -> Self:
        return plan_or_hash(self)


class HandoffConfirmed(AccessRequest):
    """The detail of a `Handoff Confirmed` event: the owner confirms that the steps of the hand-off are done.

    `mode` and `planHash` are those of an onboarding request.
    """

    kind = HANDOFF_CONFIRMED


class OffboardingRequested(AccessRequest):
    """The detail of an `Offboarding Requested` event: the resource stops reading the secret, and everything
    that only this access used is removed.

    `resource` decides what happens to the resource: `restore` restores the settings from before the first onboarding, `detach`
    removes the secret and keeps the other settings, `delete` deletes a resource that Latchkey created, and `leave` changes
    nothing. `recoveryDays` is the recovery window of the secret, and later of the key, in days.
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
    """

    kind = OFFBOARDING_REQUESTED

    resource: Literal["restore", "detach", "delete", "leave"] = "restore"
    recovery_days: Annotated[int, Field(ge=7, le=30)] = 30


class RestorationRequested(AccessRequest):
    """The detail of a `Restoration Requested` event: an offboarded access is set up again.

    This is possible until the recovery window of its secret ends.
    """

    kind = RESTORATION_REQUESTED


class NewValue(WireModel):
    """The source of the new token. Specify exactly one member; a request never contains the token itself."""

    generate: Generate | None = None
    copy_from: CopyFrom | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.generate is None) == (self.copy_from is None):
            raise PydanticCustomError("one_of", "must contain exactly one of generate, copyFrom")
        return self


class RotationRequested(AccessRequest):
    """The detail of a `Rotation Requested` event: the secret of an access gets a new value.

    If those at the other end must accept the new token first, the rotation is pending until `Rotation Confirmed`, for at most
    `pendingDays` days. Set `withdraw` to true to end a pending rotation without changing the token. Set `emergency` to true if
    the present token must stop working. Set `acceptsInterruption` to true where a rotation interrupts the service.
    """

    kind = ROTATION_REQUESTED

    value: NewValue = NewValue(generate=Generate())
    emergency: bool = False
    accepts_interruption: bool = False
    pending_days: Annotated[int, Field(ge=1, le=30)] = 7
    withdraw: bool = False

    @model_validator(mode="after")
    def _withdraws_only(self) -> Self:
        others = self.model_fields_set & {"value", "emergency", "accepts_interruption", "pending_days"}
        if self.withdraw and others:
            rule = "must not contain value, emergency, acceptsInterruption or pendingDays if withdraw is true"
            raise PydanticCustomError("one_of", rule)
        return self


class RotationConfirmed(AccessRequest):
    """The detail of a `Rotation Confirmed` event: those at the other end accept the pending token, so it can be sent."""

    kind = ROTATION_CONFIRMED


ACCESS_REQUESTS: Mapping[str, type[AccessRequest]] = {
    model.kind: model for model in (OffboardingRequested, RestorationRequested, RotationRequested, RotationConfirmed)
}


def _known_system(value: str) -> str:
    if value not in SYSTEMS:
        raise PydanticCustomError("system", "must be one of {systems}", {"systems": ", ".join(SYSTEMS)})
    return value


class ReconciliationRequested(AskedRequest):
    """The detail of a `Reconciliation Requested` event: accesses are compared with their requests, and repaired if that is
    their mode.

    By default, these are all accesses of the tenant; the default tenant reconciles the accesses of all tenants. `system` or
    `accessId` selects some of them. Set `acknowledgeStorm` to true to carry out more repairs than MaxRepairs.
    """

    kind = RECONCILIATION_REQUESTED

    system: Annotated[str, AfterValidator(_known_system)] | None = None
    access_id: Annotated[str, formats.ACCESS_ID] | None = None
    acknowledge_storm: bool = False

    @model_validator(mode="after")
    def _one_scope(self) -> Self:
        if self.system is not None and self.access_id is not None:
            raise PydanticCustomError("one_of", "must not contain both system and accessId: remove one of them")
        return self


class ManifestObject(WireModel):
    """A manifest in the data bucket: an object whose key begins with `manifests/` and ends with `.jsonl` or `.csv`.

    Without `versionId`, its current version is used.
    """

    key: ManifestKey
    version_id: VersionId | None = None


class BulkOnboardingRequested(AskedRequest):
    """The detail of a `Bulk Onboarding Requested` event: each line of a manifest is carried out as an onboarding request.

    With the mode `plan`, every line is planned, and nothing is changed.
    """

    kind = BULK_ONBOARDING_REQUESTED

    mode: Mode = "apply"
    manifest: ManifestObject


def _configured_system(value: str) -> str:
    known = [system.name for system in SYSTEMS.values() if system.configuration]
    if value not in known:
        raise PydanticCustomError("system", "must be one of {systems}", {"systems": ", ".join(known)})
    return value


class DiscoveryRequested(AskedRequest):
    """The detail of a `Discovery Requested` event: resources that use a secret and that Latchkey does not manage are listed,
    each with a request that would adopt it. Nothing is changed.

    By default, these are the resources of all systems. `system` selects one. A tenant other than the default one is shown only
    what it is allowed to name.
    """

    kind = DISCOVERY_REQUESTED

    system: Annotated[str, AfterValidator(_configured_system)] | None = None


# The requests that are not about one recorded access.
ACCOUNT_REQUESTS: Mapping[str, type[AskedRequest]] = {
    model.kind: model for model in (BulkOnboardingRequested, DiscoveryRequested, ReconciliationRequested)
}
ASKED_REQUESTS: Mapping[str, type[AskedRequest]] = {**ACCESS_REQUESTS, **ACCOUNT_REQUESTS}
