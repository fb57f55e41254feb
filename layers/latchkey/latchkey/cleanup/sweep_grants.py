"""The sweep: finds what no event reported by reading everything that Latchkey refers to, and starts executions for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from latchkey.access.grants import granted_resource, is_another_secret, names_secret, serves
from latchkey.access.record import AccessRecord, has_grants, is_exclusive
from latchkey.aws.errors import is_refused
from latchkey.aws.executions import start_once
from latchkey.aws.keys import find_key
from latchkey.aws.secrets import find_secret
from latchkey.cleanup.due_rotations import due_rotations
from latchkey.cleanup.execution_input import CleanUpInput
from latchkey.cleanup.grant_map import GrantMap, GrantRow, read_grant_map
from latchkey.cleanup.survey import Surveyor
from latchkey.errors import LatchkeyError
from latchkey.observability import logger
from latchkey.registry import Registry
from latchkey.registry.accesses import PUBLISHING_PERIOD, KnownAccess
from latchkey.registry.journal import OpenJournal
from latchkey.registry.revocations import Revocation
from latchkey.registry.sweeps import SweepState
from latchkey.settings import Settings
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient

# Longer than an onboarding execution can run, to avoid reads of running executions. The time only selects candidates:
# read_execution asks Step Functions whether an execution started and whether it has ended.
UNANSWERED = timedelta(hours=2)
# The longest timeout of a Lambda function: https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html
LONGEST_RUN = timedelta(minutes=15)
_BROKEN = ("revoked", "detached")


class SweepGrantsInput(BaseModel):
    """What names the sweep: a repeated sweep of this name is the same one."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str


class Swept(WireModel):
    """What a sweep read, how many keys and secrets it could not read, and the executions that it started.

    `revoked`, `drifted` and `irrevocable` are the current numbers of accesses that are revoked or detached, of accesses with
    findings, and of grants that could not be revoked. `deleting` are the offboarded accesses whose keys are deleted now.

    `rotating` are the accesses whose rotation is due, or was not confirmed in time.

    If another sweep is running, only `anotherSweeps` is set.
    """

    accesses: int = 0
    keys: int = 0
    grants: int = 0
    unreadable: int = 0
    revoked: int = 0
    drifted: int = 0
    irrevocable: int = 0
    cleaning: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    deleting: tuple[str, ...] = ()
    rotating: tuple[str, ...] = ()
    another_sweeps: bool = False


@dataclass(frozen=True)
class Sweep:
    """Reads everything about grants first: a read that fails ends the sweep before it starts anything.

    A key or secret whose owner denies the read holds up only its own grants. Whether an access differs from its request
    otherwise is read by the reconciliation, which follows.
    """

    settings: Settings
    registry: Registry
    surveyor: Surveyor
    stepfunctions: SFNClient
    clean_up_machine_arn: str
    end_request_machine_arn: str
    rotate_machine_arn: str

    def __call__(self, event: SweepGrantsInput) -> Swept:
        """Sweeps unless another sweep is running, so that repeated requests do not multiply sweeps or executions."""
        event_id = event.id
        occasion = self.registry.sweep_lock.lock(event_id, self.settings.grace_seconds)
        if occasion is None:
            logger.info("another sweep is running")
            return Swept(anotherSweeps=True)
        try:
            return self._sweep(occasion)
        finally:
            # A lock that cannot be released expires.
            with suppress(LatchkeyError):
                self.registry.sweep_lock.unlock(event_id)

    def _sweep(self, occasion: str) -> Swept:
        """Starts a cleanup for each access that needs one, and end-request for each request that needs it.

        Such a request has no outcome, an unfinished rollback, or a lock that was not released.

        Executions are named after the occasion, so that a duplicate delivery of an event starts no second execution.
        """
        began = datetime.now(UTC)
        # Journals before accesses: the lock of a running request is older than its journal.
        journals = [*self.registry.journal.open()]
        known = [self._released(access) for access in self.registry.accesses.all()]
        revoked = self.registry.revocations.revoked_by_us()
        referred = self.registry.resources.keys()
        exclusive = {key for key, accesses in referred.items() if is_exclusive(accesses)}
        keys = frozenset(referred).union(*(access.grant_keys for access in known), {one.key_arn for one in revoked}) - exclusive
        grant_map = read_grant_map(keys, self.surveyor, self.settings)
        cleaning = {access_id: set[str]() for access_id in self._due_by_registry(known, grant_map)}
        cleaning |= {one.access_id: set[str]() for one in revoked if self._is_unsettled(one, grant_map)}
        for row in grant_map.rows:
            if row.access_id and (row.classed == "orphaned" or _is_undecided(row, keys)):
                cleaning.setdefault(row.access_id, set()).add(row.grant.key_arn)
        self._complete(began, known, cleaning, grant_map)
        late = datetime.now(UTC) - UNANSWERED
        unanswered = {request.execution_arn: request for request in self.registry.requests.unanswered(late)}
        ending = [{"executionArn": request.execution_arn, "requestItem": request.item_id} for request in unanswered.values()]
        unfinished = {*self._unfinished(known, journals, late)} - unanswered.keys()
        ending += [{"executionArn": execution_arn} for execution_arn in sorted(unfinished)]
        leaving = {access.access_id for access in known if access.leaves_keys and not access.is_running}
        for access_id, on_keys in sorted(cleaning.items()):
            self._start_clean_up(occasion, access_id, on_keys, leaves=access_id in leaving)
        today = datetime.now(UTC).date().isoformat()
        for request in ending:  # once a day, since ending a request can take most of a day
            self._start(self.end_request_machine_arn, today, request)
        deleting = [one for one in known if self._has_due_key(one, referred)]
        for access in deleting:
            self._start_clean_up(occasion, access.access_id, deletes_key=True)
        rotating = [*due_rotations(known, self.registry.tokens.rotated_at, self.settings, datetime.now(UTC))]
        for rotation in rotating:
            self._start(self.rotate_machine_arn, today, rotation.model_dump(mode="json", by_alias=True))
        return Swept(
            accesses=len(known),
            keys=len(keys),
            grants=len(grant_map.rows),
            unreadable=len(grant_map.unreadable),
            revoked=sum(access.record is not None and access.record.status in _BROKEN for access in known),
            drifted=sum(bool(access.findings) for access in known),
            irrevocable=sum(revocation.irrevocable for revocation in self.registry.revocations.open()),
            cleaning=tuple(sorted(cleaning)),
            deleting=tuple(access.access_id for access in deleting),
            ending=tuple(request["executionArn"] for request in ending),
            rotating=tuple(rotation.access_id for rotation in rotating if rotation.access_id),
        )

    def _released(self, access: KnownAccess) -> KnownAccess:
        """Releases the lock of a cleanup whose function has ended without doing so.

        No request has such a lock, so nothing else releases it. The function holds it only while it runs.
        """
        lock = access.lock
        if lock is None or lock.execution_arn.split(":")[6] != self.clean_up_machine_arn.split(":")[6]:
            return access
        if lock.since > datetime.now(UTC) - LONGEST_RUN:
            return access
        self.registry.locks.unlock(access.access_id, lock.execution_arn)
        return replace(access, lock=None)

    def _complete(self, began: datetime, known: Iterable[KnownAccess], cleaning: Iterable[str], grant_map: GrantMap) -> None:
        """Records when each access was last seen in use, before a cleanup can report how long a grant was orphaned."""
        former = self.registry.sweeps.state()
        unread = {access.access_id for access in known if not grant_map.unreadable.isdisjoint(_read_for(access))}
        suspects = {access_id: former.in_use_at(access_id) for access_id in unread.union(cleaning)}
        self.registry.sweeps.complete(SweepState(began, suspects))

    def _unfinished(self, known: list[KnownAccess], journals: list[OpenJournal], late: datetime) -> Iterator[str]:
        """The executions whose rollback is unfinished, and those that have held a lock for too long."""
        locks = [access.lock for access in known if access.lock]
        running = {lock.execution_arn for lock in locks}
        yield from (journal.execution_arn for journal in journals if journal.execution_arn not in running)
        yield from (access.unfinished for access in known if access.unfinished and not access.is_running)
        # An execution of end-request holds the lock for a rollback, which has an open journal.
        machine = self.end_request_machine_arn.split(":")[6]
        yield from (one.execution_arn for one in locks if one.since < late and one.execution_arn.split(":")[6] != machine)

    def _due_by_registry(self, known: Iterable[KnownAccess], grant_map: GrantMap) -> Iterator[str]:
        """Accesses with open revocations, with unpublished events, or whose status no longer fits what the sweep read.

        An access that is revoked or detached is always looked at again, since no event reports every repair.
        """
        yield from {revocation.access_id for revocation in self.registry.revocations.open()}
        # Until then, the execution that recorded them can still publish them.
        since = datetime.now(UTC) - PUBLISHING_PERIOD
        # A reconciliation publishes those about resources that no record names.
        late = (one for one in self.registry.notices.unpublished() if one.change.at < since)
        yield from {notice.access_id for notice in late if not notice.access_id.startswith("arn:")}
        yield from {survey.access_id for survey in self.registry.revocations.unreported() if survey.ended_at < since}
        states: dict[str, str | None] = {}
        for access in known:
            if access.unpublished or (access.leaves_keys and not access.is_running):
                yield access.access_id
            record = access.record
            if record is None or access.is_running or access.state in ("offboarding", "offboarded"):
                continue
            if record.status in _BROKEN or self._has_unusable_key(record, states):
                yield access.access_id
            elif not has_grants(access.access_id) or record.reached == "handed-off":
                continue  # no service has a grant, or the owner has not confirmed that the resource is configured
            elif self._is_unconfigured(record, grant_map) or self._lost_grant(record, access.grant_keys, grant_map):
                yield access.access_id

    def _has_due_key(self, access: KnownAccess, referred: Mapping[str, frozenset[str]]) -> bool:
        """Whether the secret of an offboarded access is gone, and no access uses the key that can be deleted then.

        The cleanup reads everything else that could use the key before it deletes the key.
        """
        offboarded, record = access.offboarded, access.record
        if offboarded is None or record is None or offboarded.key_arn is None or access.is_running:
            return False
        secret_arn = offboarded.secret_arn or record.secret_arn
        if referred.get(offboarded.key_arn) or secret_arn is None:
            return False
        try:
            return find_secret(self.surveyor.secretsmanager, secret_arn) is None
        except ClientError as error:
            if is_refused(error):
                return False
            raise

    def _start_clean_up(
        self, occasion: str, access_id: str, keys: Iterable[str] = (), *, leaves: bool = False, deletes_key: bool = False
    ) -> None:
        clean_up = CleanUpInput(accessId=access_id, keys=tuple(sorted(keys)), leaves=leaves, deletesKey=deletes_key)
        self._start(self.clean_up_machine_arn, occasion, clean_up.model_dump(mode="json", by_alias=True))

    def _has_unusable_key(self, record: AccessRecord, states: dict[str, str | None]) -> bool:
        """Whether the key was disabled or scheduled for deletion since the access was recorded as usable.

        `states` collects the state of each key; None if it cannot be read.
        """
        if record.key_arn not in states:
            states[record.key_arn] = self._key_state(record.key_arn)
        return record.status in ("active", "handed-off") and states[record.key_arn] not in (None, "Enabled")

    def _key_state(self, key_arn: str) -> str | None:
        """The state of a key, "" if it does not exist, or None if its owner denies the read."""
        try:
            key = find_key(self.surveyor.kms, key_arn)
        except ClientError as error:
            if is_refused(error):
                return None
            raise
        return key.state if key else ""

    def _is_unconfigured(self, record: AccessRecord, grant_map: GrantMap) -> bool:
        """Whether the resource of a recorded access is gone or uses another secret, which its status does not say."""
        resource = granted_resource(record.access_id, self.settings.place, self.settings.accepted_grantees)
        secrets = grant_map.resources.get(record.system, {})
        uses_secret = names_secret(secrets.get(resource.name), record.secret_arn or "")
        state = "gone" if resource.name not in secrets else "there" if uses_secret else "detached"
        return state not in ("there", record.status)

    def _lost_grant(self, record: AccessRecord, grant_keys: Iterable[str], grant_map: GrantMap) -> bool:
        """Whether an access is recorded as active, all its keys could be read, and no grant serves its resource."""
        if record.status != "active" or not grant_map.unreadable.isdisjoint({record.key_arn, record.secret_arn, *grant_keys}):
            return False
        return not any(row.access_id == record.access_id and row.classed in ("in use", "suspect") for row in grant_map.rows)

    def _is_unsettled(self, revoked: Revocation, grant_map: GrantMap) -> bool:
        """Whether a resource that sends a token may lack the grant that Latchkey revoked, or its new grant is not recorded."""
        resource = granted_resource(revoked.access_id, self.settings.place, self.settings.accepted_grantees)
        secret = grant_map.resources.get(resource.system.name, {}).get(resource.name)
        if secret is None:
            return False
        if revoked.is_no_longer_listed(datetime.now(UTC)):
            return True
        on_key = (row.grant for row in grant_map.rows if row.grant.key_arn == revoked.key_arn)
        arns = ((grant, grant.secret_arn or secret) for grant in on_key)
        served = any(names_secret(secret, arn) and serves(grant, resource.grant_for(arn)) for grant, arn in arns)
        return not served and not is_another_secret(revoked.secret_arn, secret)

    def _start(self, machine: str, occasion: str, execution_input: Mapping[str, Any]) -> None:
        text = json.dumps(execution_input, sort_keys=True)
        name = hashlib.sha256(f"{occasion} {text}".encode()).hexdigest()[:64]
        start_once(self.stepfunctions, machine, name, text)


def _read_for(access: KnownAccess) -> set[str | None]:
    """The keys and the secret that a sweep must read to see an access in use."""
    record = access.record
    return {*access.grant_keys, *((record.key_arn, record.secret_arn) if record else ())}


def _is_undecided(row: GrantRow, keys: frozenset[str]) -> bool:
    """Whether the secret is encrypted with a key that the sweep did not read; the cleanup of the access reads that key."""
    moved = row.secret.key_arn if row.secret else None
    return row.classed == "suspect" and moved is not None and moved not in keys
