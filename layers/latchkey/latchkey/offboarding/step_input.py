"""The input of every step of an offboarding, and the recorded access that the step removes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from latchkey.access.desired import Desired, desire
from latchkey.access.record import AccessRecord
from latchkey.aws.clients import Clients
from latchkey.errors import Conflict
from latchkey.registry import Registry
from latchkey.registry.journal import RequestJournal
from latchkey.requests.lifecycle import OffboardingRequested
from latchkey.requests.parsing import AnyOnboarding
from latchkey.settings import Settings
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel


class OffboardingStep(WireModel):
    """The recorded request under the id of the offboarding, what the offboarding asks for, its tenant, and its execution.

    `execution_arn` is the first execution of the request, which has the lock and the journal.
    """

    request: AnyOnboarding
    asked: OffboardingRequested
    tenant: str = DEFAULT_TENANT
    execution_arn: str


@dataclass(frozen=True)
class RecordedPart:
    """A record and the request that it fulfills: those of the access, or those of its unconfirmed hand-off."""

    record: AccessRecord
    desired: Desired

    @property
    def role_arn(self) -> str | None:
        """The ARN of the reader role, or None if the service assumes none."""
        secret_arn = self.record.secret_arn
        role = self.desired.role(self.record.key_arn, secret_arn) if secret_arn else None
        return role.arn(self.desired.place) if role else None


@dataclass(frozen=True)
class Offboarding:
    """One step of an offboarding with what it works on. The clients belong to the function of the step."""

    event: OffboardingStep
    settings: Settings
    registry: Registry
    clients: Clients

    @property
    def access_id(self) -> str:
        access_id: str = self.event.request.access_id
        return access_id

    @cached_property
    def parts(self) -> tuple[RecordedPart, ...]:
        """The access, and its unconfirmed hand-off."""
        return recorded_parts(self.access_id, self.settings, self.registry)

    @cached_property
    def journal(self) -> RequestJournal:
        """The journal of the request, which has the lock of the access."""
        return self.registry.journal_of(self.event.execution_arn, self.access_id, self.event.tenant)


def recorded_parts(access_id: str, settings: Settings, registry: Registry) -> tuple[RecordedPart, ...]:
    """What an offboarding removes: the access first, then its unconfirmed hand-off. Raises Conflict if none is recorded."""
    accesses = registry.accesses
    record, request, handoff = accesses.get(access_id), accesses.recorded_request(access_id), accesses.to_confirm(access_id)
    if record is None or request is None:
        raise Conflict(f"{access_id} is no longer recorded")
    pending = (
        [RecordedPart(handoff.record, desire(handoff.request, settings, record.tenant))]
        if handoff and handoff.is_pending
        else []
    )
    return (RecordedPart(record, desire(request, settings, record.tenant)), *pending)
