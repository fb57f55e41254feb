"""The registry of this stack: one DynamoDB table, with one class for each kind of item."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from latchkey.aws import clients
from latchkey.aws.secrets import name_of_secret
from latchkey.errors import Conflict
from latchkey.registry.access_locks import AccessLocks
from latchkey.registry.accesses import Accesses, AnnouncedRequest, RecordedAccess
from latchkey.registry.former_notes import move_notes, noted_execution
from latchkey.registry.former_settings import FormerSettingsOfAccesses
from latchkey.registry.grant_keys import GrantKeys
from latchkey.registry.journal import Journal, RequestJournal, reference_step
from latchkey.registry.known_findings import FindingsOfAccesses
from latchkey.registry.notices import Notices
from latchkey.registry.offboardings import Offboardings
from latchkey.registry.phases import Phases
from latchkey.registry.plans import Plans
from latchkey.registry.requests import Requests
from latchkey.registry.resources import Resources
from latchkey.registry.revocations import Revocations
from latchkey.registry.slots import Slots
from latchkey.registry.sweep_lock import SweepLock
from latchkey.registry.sweeps import Sweeps
from latchkey.registry.table import Table
from latchkey.registry.tokens import Tokens
from latchkey.settings import settings
from latchkey.tags import DEFAULT_TENANT


class Registry:
    """The parts of the registry, and the reads that need more than one of them."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.lease = table.lease
        self.requests = Requests(table)
        self.accesses = Accesses(table)
        self.locks = AccessLocks(table)
        self.former_settings = FormerSettingsOfAccesses(table)
        self.granted = GrantKeys(table)
        self.journal = Journal(table)
        self.notices = Notices(table)
        self.offboardings = Offboardings(table)
        self.phases = Phases(table)
        self.plans = Plans(table)
        self.resources = Resources(table)
        self.revocations = Revocations(table)
        self.findings = FindingsOfAccesses(table)
        self.slots = Slots(table)
        self.sweep_lock = SweepLock(table)
        self.sweeps = Sweeps(table)
        self.tokens = Tokens(table)

    def journal_of(self, execution_arn: str | None, access_id: str, tenant: str) -> RequestJournal:
        """The journal of a request that holds the lock of its access. Read before each step of an onboarding.

        An execution that an earlier version started passes no ARN, but it holds the lock. Raises Conflict if the request has
        ended: end-request rolled it back, and somebody redrove its execution.
        """
        holder, accompanied, request_id = self.locks.holder_with(access_id)
        if holder is None or execution_arn not in (None, holder):
            rule = f"this request has ended, because another execution has unlocked {access_id}"
            raise Conflict(f"{rule}: send the request with a new requestId instead of redriving its execution")
        return self.journal.of(holder, access_id, tenant, accompanies=accompanied is not None, request_id=request_id)

    def refer(self, resource: str, journal: RequestJournal) -> None:
        """Records that a request is about to use a resource. Raises NotYetEffective while the resource is being removed."""
        journal.intend(reference_step(resource), {"resource": resource})
        self.resources.refer(resource, journal.access_id, journal.tenant)

    def move_former_notes(self, access_id: str, tenant: str) -> None:
        """Moves the notes of an earlier version for a rollback into the journal of its execution."""
        execution_arn = noted_execution(self._table.get("access", access_id))
        if execution_arn:
            move_notes(self._table, self.journal.of(execution_arn, access_id, tenant))

    def is_open(self, execution_arn: str, access_id: str) -> bool:
        """Whether a change of this execution is neither settled nor rolled back."""
        entries = self.journal.of(execution_arn, access_id, DEFAULT_TENANT).entries()
        unfinished = self._table.get("access", access_id).get("unfinished")
        return unfinished == execution_arn or any(entry.state == "open" for entry in entries)

    def grant_keys(self) -> frozenset[str]:
        """All keys on which a service can hold a grant."""
        return frozenset(self.resources.keys()).union(*(access.grant_keys for access in self.accesses.all()))

    def affected(self, accesses: Iterable[str], resources: Iterable[str]) -> list[str]:
        """The known accesses among `accesses`, and the accesses that refer to any of `resources`. Returns access ids."""
        known = {access_id for access_id in accesses if self.accesses.is_known(access_id)}
        return sorted(known.union(*(self.resources.accesses_of(resource) for resource in resources)))

    def requests_using(self, resource: str, *, without: str) -> list[AnnouncedRequest]:
        """The requests of the accesses that refer to a key or secret, except those of the access `without`.

        The request of an access can use a different key by now, so the caller must compare the keys.
        """
        others = sorted(self.resources.others(resource, without))
        return [request for access_id in others for request in self.accesses.announced_requests(access_id)]

    def origin_hosts(self, secret_arn: str, own_access: str) -> frozenset[str]:
        """The hosts that receive the token of a secret: those of its active accesses, from their recorded requests.

        A handed-off access counts after it is confirmed. `own_access` also counts while it is revoked, gone or detached, so
        that a repeated request can repair it.
        """
        referring = self.resources.accesses_of(f"secret {name_of_secret(secret_arn)}")
        return frozenset(host for access_id in referring if (host := self._host(access_id, secret_arn, own_access)))

    def is_new_token(self, secret_arn: str, copies: frozenset[str] = frozenset()) -> bool:
        """Whether Latchkey generated the token of a secret of this Region, and no access that uses it has been in service.

        A copy of such a token is one as well. If requests were about to copy several tokens, one new token is enough. `copies`
        are the secrets whose values were copied from this one, since values can be copied in a circle.
        """
        secret = f"secret {name_of_secret(secret_arn)}"
        users = [self._user(access_id) for access_id in self.resources.accesses_of(secret)]
        recorded = [one for user in users for one in user if one.record.secret_arn == secret_arn]
        if any(one.record.reached == "active" for one in recorded):
            return False
        if any(one.request.secret.value.generate is not None for one in recorded):
            return True
        if not (sources := self.resources.copied_from(secret)):
            return self.resources.was_never_configured(secret)
        place, known = secret_arn.split(":")[:5], copies | {secret_arn}
        return any(source.split(":")[:5] == place and self.is_new_token(source, known) for source in sources - known)

    def _user(self, access_id: str) -> list[RecordedAccess]:
        """The recorded access, and its unconfirmed hand-off."""
        record, request = self.accesses.get(access_id), self.accesses.recorded_request(access_id)
        handoff = self.accesses.to_confirm(access_id)
        recorded = RecordedAccess(record, request) if record and request else None
        return [one for one in (recorded, handoff) if one]

    def _host(self, access_id: str, secret_arn: str, own_access: str) -> str | None:
        record, request = self.accesses.get(access_id), self.accesses.recorded_request(access_id)
        if record is None or request is None or record.secret_arn != secret_arn or record.reached != "active":
            return None
        is_active = record.status == "active" or access_id == own_access
        return request.resource.origin_host if is_active else None


@cache
def registry() -> Registry:
    """The registry of this stack, created on first use."""
    return Registry(Table(clients.dynamodb(), settings().access_table))
