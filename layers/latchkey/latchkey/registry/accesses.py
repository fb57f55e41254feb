"""Items of kind `access`: the record of each access, its observed status, and the status events to be published."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from pydantic import AwareDatetime

from latchkey.access.findings.finding import identity_of
from latchkey.access.lifecycle import State
from latchkey.access.offboarded import Offboarded
from latchkey.access.record import AccessRecord, Status
from latchkey.errors import TransientAwsError
from latchkey.events.findings import Finding
from latchkey.registry.access_locks import LockHolder, holder_of
from latchkey.registry.grant_keys import grant_keys_of
from latchkey.registry.offboardings import needs_nothing, offboarded_of
from latchkey.registry.phases import AccessPhase, phase_of
from latchkey.registry.table import ConditionFailed, Table, now_text
from latchkey.requests.models import OnboardingRequest
from latchkey.requests.parsing import parse_onboarding
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel

# Longer than a report with all its retries can take.
PUBLISHING_PERIOD = timedelta(minutes=10)

_RECORD = ("system", "status", "reached", "requestId", "keyArn", "secretArn", "resourceArn", "version", "tenant")
# The attributes of the record of an access, the request that it fulfills, an unconfirmed hand-off, what a move has left, the
# former settings of its resource, and the result of its offboarding.
_SAVED = (*_RECORD, "wanted", "handoff", "leaves", "formerSettings", "offboarded")
# The names of the findings that were reported last, and their identity.
_FOUND = ("findings", "findingsIdentity")
_PHASE = ("phase", "phaseRequest", "phaseSince", "phaseFacts")


class StatusChange(WireModel):
    """An event that reports a change of status, and the execution that publishes it."""

    kind: str
    detail: str
    execution_arn: str
    at: AwareDatetime

    def is_for(self, execution_arn: str, now: AwareDatetime) -> bool:
        """Whether an execution can publish the event: the one that recorded it, or any after PUBLISHING_PERIOD."""
        return self.execution_arn == execution_arn or now > self.at + PUBLISHING_PERIOD


@dataclass(frozen=True)
class AnnouncedRequest:
    """A request whose statements belong in shared policies.

    `key_arn` is the key of the access that fulfills it, or None if the request is running and has no key yet.
    """

    request: OnboardingRequest[Any]
    key_arn: str | None
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True)
class RecordedAccess:
    """A record and the request that it fulfills. `is_pending`: an unconfirmed hand-off of an access in service."""

    record: AccessRecord
    request: OnboardingRequest[Any]
    is_pending: bool = False


@dataclass(frozen=True)
class LeftKey:
    """A former key of a secret that was moved, and the request under which the access used it."""

    key_arn: str
    request: OnboardingRequest[Any]


@dataclass(frozen=True)
class KnownAccess:
    """An access with every key on which its service can hold a grant; `record` is None if no onboarding succeeded.

    `lock` is the holder of its lock. `unfinished` is the ARN of an execution whose rollback an earlier version did not finish.
    `unpublished` is true if a status event might not have been published. `request` is the request that the record fulfills,
    `recorded_at` is when, `findings` are the recorded findings, and `phase` is what a request about the access has begun.
    `leaves_keys`: a former key of its secret can still have its statements. `offboarded` is the result of its offboarding.
    """

    access_id: str
    record: AccessRecord | None
    grant_keys: frozenset[str]
    lock: LockHolder | None
    unfinished: str | None
    unpublished: bool
    wanted: str | None = None
    recorded_at: datetime | None = None
    findings: tuple[str, ...] = ()
    phase: AccessPhase | None = None
    leaves_keys: bool = False
    offboarded: Offboarded | None = None

    @property
    def state(self) -> State:
        """The phase of the access or, if it is in none, its status."""
        return self.phase.name if self.phase else cast("State", self.record.status) if self.record else None

    @property
    def request(self) -> OnboardingRequest[Any] | None:
        """The request that the record fulfills."""
        return parse_onboarding(json.loads(self.wanted), is_new=False) if self.wanted else None

    @property
    def is_running(self) -> bool:
        """Whether a request is running for the access."""
        return self.lock is not None


class Accesses:
    """Reads and writes records. A write succeeds only if the record still has the version that was read."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, access_id: str) -> AccessRecord | None:
        """The record of an access, or None if no onboarding succeeded."""
        item = self._table.get("access", access_id)
        return _record(item) if "version" in item else None

    def all(self) -> Iterator[KnownAccess]:
        """All accesses for which a request was ever accepted."""
        for item in self._table.query("access"):
            record = _record(item) if "version" in item else None
            facts = (grant_keys_of(item), holder_of(item), item.get("unfinished"), bool(item.get("untold")))
            observed = (_time(item.get("recordedAt")), tuple(item.get("findings", ())))
            yield KnownAccess(
                item["id"], record, *facts, item.get("wanted"), *observed, phase_of(item), "leaves" in item, offboarded_of(item)
            )

    def item(self, access_id: str) -> dict[str, Any]:
        """The attributes of an access as they are stored, for the record with which its audit records begin."""
        return self._table.get("access", access_id)

    def is_known(self, access_id: str) -> bool:
        """Whether the item of an access has any attribute except its key."""
        return bool(self._table.get("access", access_id).keys() - {"kind", "id"})

    def tenant(self, access_id: str) -> str | None:
        """The tenant of a recorded access, or None if no onboarding succeeded."""
        item = self._table.get("access", access_id)
        return item.get("tenant", DEFAULT_TENANT) if "version" in item else None

    def recorded_request(self, access_id: str) -> OnboardingRequest[Any] | None:
        """The request that the access last fulfilled, or None. A running request does not count."""
        wanted = self._table.get("access", access_id).get("wanted")
        return parse_onboarding(json.loads(wanted), is_new=False) if wanted else None

    def announced_requests(self, access_id: str) -> list[AnnouncedRequest]:
        """The request that the access fulfills, an unconfirmed hand-off, and the running request after its rules pass.

        The resource of an access that is offboarded, or about to be, no longer needs anything.
        """
        return _announced(self._table.get("access", access_id))

    def all_announced_requests(self) -> Iterator[AnnouncedRequest]:
        """The announced requests of all accesses. An access whose resource is gone or uses another secret no longer counts."""
        for item in self._table.query("access"):
            is_over = item.get("status") in ("gone", "detached")
            yield from _announced({name: item[name] for name in item if not (is_over and name == "wanted")})

    def save(self, record: AccessRecord, request: Mapping[str, Any], remaining: Sequence[Finding] = ()) -> AccessRecord:
        """Writes a record and the request that it fulfills. `remaining` are findings that were reported and are still there.

        The service can hold a grant on the previous key and on the new one, so both stay in the grant keys. If the secret was
        moved to another key, the request under which the access used the former one is kept until it has left that key. A phase
        of the access ends. Raises TransientAwsError if the record has changed since it was read: the caller must read it and
        decide again.
        """
        saved = replace(record, version=record.version + 1)
        item = self._table.get("access", record.access_id)
        # What an access that stays revoked has lost was reported, too.
        known = [one for one in remaining if one.name in item.get("findings", ())]
        reported = (*([] if record.status == "revoked" else ["lost"]), *([] if known else _FOUND))
        dropped = ("left", *reported, "offboarded", "detached")
        gone = [name for name in (*_RECORD, *dropped) if name not in _wire(saved)]
        names = {f"#{name}": name for name in (*_wire(saved), *gone)}
        values = {f":{name}": value for name, value in _wire(saved).items()} | {":read": record.version, ":now": now_text()}
        values[":wanted"] = json.dumps(request)
        values[":keys"] = grant_keys_of(item) | {saved.key_arn}
        settings = ", ".join(f"#{name} = :{name}" for name in _wire(saved))
        settings += ", wanted = :wanted, updatedAt = :now, recordedAt = :now"
        if known:
            settings += ", findings = :findings, findingsIdentity = :identity"
            values |= {":findings": [one.name for one in known], ":identity": identity_of(known)}
        leaves = _leaves(item, saved)
        if leaves:
            settings, values[":leaves"] = f"{settings}, leaves = :leaves", json.dumps(leaves)
        ended = (*_PHASE, *([] if leaves else ["leaves"]))
        try:
            self._table.update(
                "access",
                saved.access_id,
                f"SET {settings} REMOVE {', '.join((*(f'#{name}' for name in gone), *ended))}, handoff ADD grantKeys :keys",
                "attribute_not_exists(version) OR version = :read",
                values,
                names,
            )
        except ConditionFailed:
            raise TransientAwsError("the access was written by another request in the meantime") from None
        return saved

    def left_keys(self, access_id: str) -> list[LeftKey]:
        """The former keys of the secret of an access, which can still have its statements."""
        leaves = json.loads(self._table.get("access", access_id).get("leaves", "[]"))
        return [LeftKey(one["keyArn"], parse_onboarding(one["wanted"], is_new=False)) for one in leaves]

    def note_key_left(self, access_id: str, key_arn: str) -> None:
        """Records that an access has left a key. Raises TransientAwsError if another request is changing the access."""
        item = self._table.get("access", access_id)
        if "leaves" not in item:
            return
        kept = [one for one in json.loads(item["leaves"]) if one["keyArn"] != key_arn]
        update = "SET leaves = :kept" if kept else "REMOVE leaves"
        values = {":leaves": item["leaves"]} | ({":kept": json.dumps(kept)} if kept else {})
        try:
            self._table.update("access", access_id, update, "leaves = :leaves", values)
        except ConditionFailed:
            raise TransientAwsError("the access was moved to another key in the meantime") from None

    def rehearse(self, access_id: str, version: int) -> None:
        """Writes to the item of an access under the condition of `save`, and changes no attribute of its record.

        Raises TransientAwsError if the record has changed since it was read.
        """
        try:
            values: dict[str, Any] = {":read": version, ":now": now_text()}
            condition = "attribute_not_exists(version) OR version = :read"
            self._table.update("access", access_id, "SET updatedAt = :now", condition, values)
        except ConditionFailed:
            raise TransientAwsError("the access was written by another request in the meantime") from None

    def save_handoff(self, record: AccessRecord, request: Mapping[str, Any]) -> None:
        """Records a hand-off of an access in service. The record of the access stays until the hand-off is confirmed."""
        item = self._table.get("access", record.access_id)
        former = json.loads(item["handoff"]) if "handoff" in item else None
        if former and former["record"]["requestId"] == record.request_id:  # a retry
            return
        before = {name: former[name] for name in ("record", "wanted")} if former else None
        handoff = {"record": _wire(record), "wanted": json.dumps(request), "former": before}
        values = {":handoff": json.dumps(handoff), ":keys": {record.key_arn}}
        update = "SET handoff = :handoff ADD grantKeys :keys"
        self._table.update("access", record.access_id, update, "attribute_exists(version)", values)

    def to_confirm(self, access_id: str) -> RecordedAccess | None:
        """What a confirmation confirms: the unconfirmed hand-off or, if there is none, the recorded access."""
        item = self._table.get("access", access_id)
        if "handoff" in item:
            return _handoff(access_id, json.loads(item["handoff"]))
        record, request = self.get(access_id), self.recorded_request(access_id)
        return RecordedAccess(record, request) if record and request else None

    def recorded_by(self, access_id: str, request_id: str) -> AccessRecord | None:
        """The record or the unconfirmed hand-off that a request has saved, or None."""
        recorded = (self.get(access_id), (found := self.to_confirm(access_id)) and found.record)
        return next((record for record in recorded if record and record.request_id == request_id), None)

    def _withdraw_handoff(self, item: Mapping[str, Any], request_id: str) -> bool:
        """Restores the hand-off that this request replaced, if it did. Returns whether it did."""
        handoff = json.loads(item["handoff"]) if "handoff" in item else None
        if handoff is None or handoff["record"]["requestId"] != request_id:
            return False
        values: dict[str, Any] = {":now": item["handoff"]}
        update = "REMOVE handoff"
        if handoff["former"]:
            update, values[":former"] = "SET handoff = :former", json.dumps(handoff["former"] | {"former": None})
        self._table.update("access", item["id"], update, "handoff = :now", values)
        return True

    def snapshot(self, access_id: str) -> dict[str, str]:
        """The attributes of the record and its request, for `restore`. Empty if there is no record."""
        item = self._table.get("access", access_id)
        return {name: str(item[name]) for name in _SAVED if name in item}

    def restore(self, access_id: str, request_id: str, previous: Mapping[str, str]) -> bool:
        """Restores an earlier snapshot if this request wrote the record or hand-off. Returns whether it did."""
        item = self._table.get("access", access_id)
        if self._withdraw_handoff(item, request_id):
            return True
        if item.get("requestId") != request_id:
            return False
        names = {f"#{name}": name for name in _SAVED}
        gone = [f"#{name}" for name in _SAVED if name not in previous]
        kept = [f"#{name} = :{name}" for name in previous]
        values: dict[str, Any] = {f":{name}": value for name, value in previous.items()}
        values |= {":failed": request_id, ":keys": {item["keyArn"]}}
        if previous:
            values[":version"] = int(item["version"]) + 1
        update = f"SET {', '.join(kept)} " if kept else ""
        update += f"REMOVE {', '.join(gone)} " if gone else ""
        with suppress(ConditionFailed):
            self._table.update("access", access_id, f"{update}ADD grantKeys :keys", "requestId = :failed", values, names)
            return True
        return False

    def note_role_change(self, access_id: str) -> None:
        """Records that the reader role of the access is about to change. IAM does not report when a role was changed."""
        values = {":now": datetime.now(UTC).isoformat()}
        self._table.update("access", access_id, "SET roleChangedAt = :now", None, values)

    def role_changed(self, access_id: str) -> datetime | None:
        """When the reader role of the access was last created or changed, or None if that is not recorded."""
        noted = self._table.get("access", access_id).get("roleChangedAt")
        return datetime.fromisoformat(noted) if noted else None

    def recorded_at(self, access_id: str) -> datetime | None:
        """When a request last recorded the access, or None if an earlier version did."""
        return _time(self._table.get("access", access_id).get("recordedAt"))

    def is_unmanaged(self, access_id: str) -> bool:
        """Whether an owner has withdrawn consent since the last request."""
        return "left" in self._table.get("access", access_id)

    def mark_unmanaged(self, record: AccessRecord, left: Sequence[str]) -> None:
        """Sets the status to `unmanaged` and records what is left in place, unless the record has changed since it was read.

        An unconfirmed hand-off is discarded, so that its confirmation cannot reactivate the access. Findings are discarded,
        because no sweep looks at the access again and finds them repaired.
        """
        values = {":read": record.version, ":next": record.version + 1, ":now": now_text(), ":left": [*left]}
        values |= {":status": "unmanaged"}
        update = "SET #status = :status, #left = :left, version = :next, updatedAt = :now"
        update += f" REMOVE handoff, {', '.join(_FOUND)}"
        names = {"#status": "status", "#left": "left"}
        with suppress(ConditionFailed):
            self._table.update("access", record.access_id, update, "version = :read", values, names)

    def failed_checks(self, access_id: str) -> tuple[str, ...]:
        """The names of the checks that failed when the status of the access was last observed."""
        return tuple(self._table.get("access", access_id).get("lost", ()))

    def findings(self, access_id: str) -> tuple[str, ...]:
        """The names of the checks that failed without revoking the access when it was last observed."""
        return tuple(self._table.get("access", access_id).get("findings", ()))

    def findings_identity(self, access_id: str) -> str | None:
        """The identity of these findings, or None if an earlier version recorded them."""
        identity: str | None = self._table.get("access", access_id).get("findingsIdentity")
        return identity

    def record_status(
        self,
        record: AccessRecord,
        status: Status,
        failed_checks: Sequence[str],
        findings: Sequence[Finding] = (),
        changes: Collection[StatusChange] = (),
    ) -> None:
        """Writes the observed status and the events that report it in one update.

        If the record has changed since it was read, nothing is written: whoever changed it reports the status.
        """
        values: dict[str, Any] = {":read": record.version, ":next": record.version + 1, ":now": now_text()}
        values |= {":status": status, ":lost": [*failed_checks], ":findings": [one.name for one in findings]}
        values[":identity"] = identity_of(findings)
        update = "SET #status = :status, lost = :lost, findings = :findings, findingsIdentity = :identity, version = :next"
        update += ", updatedAt = :now"
        if changes:
            values[":changes"] = {_text(change) for change in changes}
            update += " ADD untold :changes"
        with suppress(ConditionFailed):
            self._table.update("access", record.access_id, update, "version = :read", values, {"#status": "status"})

    def unpublished(self, access_id: str) -> list[StatusChange]:
        """The status events that were recorded and might not have been published."""
        texts = sorted(self._table.get("access", access_id).get("untold", ()))
        return [StatusChange.model_validate_json(text) for text in texts]

    def note_published(self, access_id: str, change: StatusChange) -> None:
        """Records that a status event was published."""
        self._table.update("access", access_id, "DELETE untold :change", None, {":change": {_text(change)}})


def _announced(item: Mapping[str, Any]) -> list[AnnouncedRequest]:
    handoff = json.loads(item["handoff"]) if "handoff" in item else {"record": {}}
    # The request that ended last stays in the item until the next one locks the access. During a rollback, no other request
    # may write its statements again.
    running = item.get("pending") if "running" in item and "undoing" not in item else None
    tenant = item.get("tenant", DEFAULT_TENANT)
    is_over = needs_nothing(item)
    texts = (
        (None if is_over else item.get("wanted"), item.get("keyArn"), tenant),
        (None if is_over else handoff.get("wanted"), handoff["record"].get("keyArn"), handoff["record"].get("tenant", tenant)),
        (running, None, item.get("pendingTenant", DEFAULT_TENANT)),
    )
    return [
        AnnouncedRequest(parse_onboarding(json.loads(text), is_new=False), key, owner) for text, key, owner in texts if text
    ]


def _leaves(item: Mapping[str, Any], saved: AccessRecord) -> list[dict[str, Any]]:
    """The former keys that an access has not left yet. One to which the secret returns is none of them."""
    leaves = [one for one in json.loads(item.get("leaves", "[]")) if one["keyArn"] != saved.key_arn]
    is_moved = item.get("secretArn") == saved.secret_arn and item.get("keyArn", saved.key_arn) != saved.key_arn
    if not is_moved or "wanted" not in item or any(one["keyArn"] == item["keyArn"] for one in leaves):
        return leaves
    return [*leaves, {"keyArn": item["keyArn"], "wanted": json.loads(item["wanted"])}]


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _text(change: StatusChange) -> str:
    return change.model_dump_json(by_alias=True)


def _record(item: Mapping[str, Any]) -> AccessRecord:
    return AccessRecord(
        access_id=item["id"],
        system=item["system"],
        status=item["status"],
        request_id=item["requestId"],
        key_arn=item["keyArn"],
        secret_arn=item.get("secretArn"),
        resource_arn=item.get("resourceArn"),
        reached=item.get("reached", "active"),
        version=int(item["version"]),
        tenant=item.get("tenant", DEFAULT_TENANT),
    )


def _handoff(access_id: str, handoff: Mapping[str, Any]) -> RecordedAccess:
    record = _record({"id": access_id} | handoff["record"])
    return RecordedAccess(record, parse_onboarding(json.loads(handoff["wanted"]), is_new=False), is_pending=True)


def _wire(record: AccessRecord) -> dict[str, Any]:
    wire = {
        "system": record.system,
        "status": record.status,
        "requestId": record.request_id,
        "keyArn": record.key_arn,
        "secretArn": record.secret_arn,
        "resourceArn": record.resource_arn,
        "reached": record.reached,
        "version": record.version,
        "tenant": record.tenant,
    }
    return {name: value for name, value in wire.items() if value is not None}
