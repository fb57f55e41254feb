"""What every part of a rollback needs: the failed request, the state before it, the clients, and the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from latchkey.access.desired import Desired, desire
from latchkey.access.record import AccessRecord
from latchkey.aws.clients import Clients
from latchkey.registry import Registry
from latchkey.requests.models import OnboardingRequest
from latchkey.settings import Settings


@dataclass(frozen=True)
class Rollback:
    """The rollback of one request.

    `record` and `recorded_request` are those of the access before the request, or None if it was not recorded then.
    """

    desired: Desired
    record: AccessRecord | None
    recorded_request: OnboardingRequest[Any] | None
    settings: Settings
    registry: Registry
    clients: Clients

    @property
    def access_id(self) -> str:
        return self.desired.access_id

    @property
    def formerly_desired(self) -> Desired | None:
        """What the recorded request asked for, or None."""
        return desire(self.recorded_request, self.settings, self.desired.tenant) if self.recorded_request else None

    def note(self, step: str) -> None:
        """Records a step before it is carried out, so that the outcome lists it even if the function crashes right after it."""
        self.registry.journal.note_undone(self.access_id, step)

    def remaining_accesses(self, resource: str, *, in_use: bool) -> list[Desired]:
        """What still needs a key or secret: the other accesses and, if it was `in_use` before, this access as it was."""
        others = self.registry.requests_using(resource, without=self.access_id)
        own = [(self.recorded_request, self.desired.tenant)] if in_use and self.recorded_request else []
        return [desire(request, self.settings, tenant) for request, tenant in (*((o.request, o.tenant) for o in others), *own)]
