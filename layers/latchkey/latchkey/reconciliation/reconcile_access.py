"""Reconciles accesses: observes each one, records and publishes what is wrong with it, and whether it is to be repaired."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from latchkey.access.findings.known import KnownFindings, known_findings
from latchkey.access.observed import Inventoried, KeyRead
from latchkey.access.record import AccessRecord, has_grants
from latchkey.aws.clients import Clients
from latchkey.aws.data_bucket import DataBucket
from latchkey.aws.errors import aws_errors
from latchkey.errors import LatchkeyError
from latchkey.events.findings import CheckedValue
from latchkey.observability import logger
from latchkey.observation.notices import Occasion, PublishEvent, publish_notices, record_observation
from latchkey.observation.observe_access import Observation, ObserveAccessInput, observe_access
from latchkey.reconciliation.lines import InventoriedLine
from latchkey.registry import Registry
from latchkey.requests.models import RemediationMode
from latchkey.settings import Settings
from latchkey.wire import WireModel

_ATTEMPTS = 3


class ReconcileAccessInput(WireModel):
    """Some accesses of the inventory, the verdicts on their values, and the execution of the reconciliation."""

    items: tuple[InventoriedLine, ...]
    execution_arn: str
    values: tuple[CheckedValue, ...] = ()


class Reconciled(WireModel):
    """The detail types that were published, and the accesses that could not be read and are to be tried again."""

    published: tuple[str, ...]
    unread: tuple[InventoriedLine, ...]


@dataclass(frozen=True)
class Reconciliation:
    """Reconciles one access after the other. One that cannot be read does not hold up the others."""

    settings: Settings
    registry: Registry
    clients: Clients
    publish_event: PublishEvent
    mode: RemediationMode
    bucket: DataBucket

    def __call__(self, event: ReconcileAccessInput) -> Reconciled:
        published, unread = list[str](), list[InventoriedLine]()
        keys: dict[str, KeyRead] = {}
        values = {one.access_id: one for one in event.values}
        for line in event.items:
            try:
                with aws_errors():
                    if line.access_id in values:
                        self.registry.findings.note_value(values[line.access_id])
                    published += self._reconcile(line.access_id, line.known(self.bucket, keys), event.execution_arn)
            except LatchkeyError as error:
                logger.warning("access not read", access_id=line.access_id, error=type(error).__name__, reason=str(error))
                # Everything is read again, also what the inventory contains.
                unread.append(InventoriedLine(accessId=line.access_id))
        return Reconciled(published=tuple(published), unread=tuple(unread))

    def _reconcile(self, access_id: str, known: Inventoried, execution_arn: str) -> list[str]:
        """The detail types of the published events. Nothing is concluded about an access whose request is running."""
        observed, record = self._observed(access_id, known)
        request = self.registry.accesses.recorded_request(access_id)
        if record is None or request is None or observed.status is None or observed.version != record.version:
            return []
        found = (*observed.causes, *observed.findings)
        former, recorded_at = self.registry.findings.get(access_id), self.registry.accesses.recorded_at(access_id)
        developed = known_findings(found, former, record, recorded_at, request.remediation or self.mode, datetime.now(UTC))
        occasion = Occasion(access_id, execution_arn, datetime.now(UTC), f"{execution_arn} {access_id}")
        # Where the service creates grants, the cleanup reports a resource that is gone, and waits for a list of grants that can
        # lag. The sweep starts it.
        if not observed.unsettled and (observed.status != "gone" or not has_grants(access_id)):
            record_observation(occasion, _since(observed, developed), record, self.registry)
        published = [*publish_notices(occasion, record, self.registry, self.publish_event)]
        # At the end, so that no repair is decided before what it repairs is published.
        self.registry.findings.save(developed, former)
        return published

    def _observed(self, access_id: str, known: Inventoried) -> tuple[Observation, AccessRecord | None]:
        """The observation of an access and its record. A cleanup can record another status in the meantime.

        A list can lag behind, and the access can have changed since it was read. So only a fresh read of everything says that
        something is wrong, or that it no longer is.
        """
        for attempt in range(_ATTEMPTS):
            inventoried = known if attempt == 0 and known != Inventoried() else None
            asked = ObserveAccessInput(accessId=access_id)
            observed = observe_access(asked, self.settings, self.registry, self.clients, inventoried)
            record = self.registry.accesses.get(access_id)
            if record is None or observed.status is None:
                break
            if observed.version == record.version and (inventoried is None or self._is_sound(observed, record)):
                break
        return observed, record

    def _is_sound(self, observed: Observation, record: AccessRecord) -> bool:
        """Whether nothing is wrong with an access, and nothing was."""
        accesses, access_id = self.registry.accesses, record.access_id
        if observed.lost or observed.causes or observed.findings or observed.status != record.status:
            return False
        return not accesses.findings(access_id) and not accesses.failed_checks(access_id)


def _since(observed: Observation, known: KnownFindings) -> Observation:
    """The observation with the time since when each of its findings exists."""
    dated = {one.identity: one for one in known.findings}
    own = {
        "causes": tuple(dated[one.identity] for one in observed.causes),
        "findings": tuple(dated[one.identity] for one in observed.findings),
    }
    return observed.model_copy(update=own)
