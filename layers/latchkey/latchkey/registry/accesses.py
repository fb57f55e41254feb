"""Items of kind `access`: the record of each access, its observed status, and the status events to be published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from pydantic import AwareDatetime

from latchkey.access.record import AccessRecord, Status
from latchkey.errors import TransientAwsError
from latchkey.registry.access_locks import LockHolder, holder_of
from latchkey.registry.journal import grant_keys_of
from latchkey.registry.table import ConditionFailed, Table, now_text
from latchkey.requests.models import OnboardingRequest
from latchkey.requests.parsing import parse_onboarding
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel

# Longer than a report with all its retries can take.
PUBLISHING_PERIOD = timedelta(minutes=10)

_RECORD = ("system", "status", "reached", "requestId", "keyArn", "secretArn", "resourceArn", "version", "tenant")


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
class KnownAccess:
    """An access with every key on which its service can hold a grant; `record` is None if no onboarding succeeded.

    `lock` is the holder of its lock. `unfinished` is the ARN of the execution whose rollback is unfinished. `unpublished` is
    true if a status event might not have been published.
    """

    access_id: str
    record: AccessRecord | None
    grant_keys: frozenset[str]
    lock: LockHolder | None
    unfinished: str | None
    unpublished: bool

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
            yield KnownAccess(item["id"], record, *facts)

    def is_known(self, access_id: str) -> bool:
        """Whether the item of an access has any attribute except its key."""
        return bool(self._table.get("access", access_id).keys() - {"kind", "id"})

    def recorded_request(self, access_id: str) -> OnboardingRequest[Any] | None:
        """The request that the access last fulfilled, or None. A running request does not count."""
        wanted = self._table.get("access", access_id).get("wanted")
        return parse_onboarding(json.loads(wanted)) if wanted else None

    def announced_requests(self, access_id: str) -> list[AnnouncedRequest]:
        """The request that the access fulfills, and the running request if it has passed its rules."""
        item = self._table.get("access", access_id)
        texts = ((item.get("wanted"), item.get("keyArn")), (item.get("pending"), None))
        tenant = item.get("tenant", DEFAULT_TENANT)
        return [AnnouncedRequest(parse_onboarding(json.loads(text)), key, tenant) for text, key in texts if text]

    def save(self, record: AccessRecord, request: Mapping[str, Any]) -> AccessRecord:
        """Writes a record and the request that it fulfills, and keeps the previous record for `restore`.

        The service can hold a grant on the previous key and on the new one, so both stay in the grant keys. Raises
        TransientAwsError if the record has changed since it was read: the caller must read it and decide again.
        """
        saved = replace(record, version=record.version + 1)
        item = self._table.get("access", record.access_id)
        previous = {name: str(item[name]) for name in (*_RECORD, "wanted") if name in item}
        gone = [name for name in (*_RECORD, "left", "lost") if name not in _wire(saved)]
        names = {f"#{name}": name for name in (*_wire(saved), *gone)}
        values = {f":{name}": value for name, value in _wire(saved).items()} | {":read": record.version, ":now": now_text()}
        values |= {":wanted": json.dumps(request), ":previous": json.dumps(previous)}
        values[":keys"] = grant_keys_of(item) | {saved.key_arn}
        settings = ", ".join(f"#{name} = :{name}" for name in _wire(saved))
        settings += ", wanted = :wanted, previous = :previous, updatedAt = :now"
        try:
            self._table.update(
                "access",
                saved.access_id,
                f"SET {settings} REMOVE {', '.join(f'#{name}' for name in gone)}, unfinished ADD grantKeys :keys",
                "attribute_not_exists(version) OR version = :read",
                values,
                names,
            )
        except ConditionFailed:
            raise TransientAwsError("the access was written by another request in the meantime") from None
        return saved

    def restore(self, access_id: str, request_id: str) -> None:
        """Restores the record that `save` replaced, if it was saved for this request. A second call has no effect."""
        item = self._table.get("access", access_id)
        if item.get("requestId") != request_id or "previous" not in item:
            return
        previous = json.loads(item["previous"])
        names = {f"#{name}": name for name in (*_RECORD, "wanted")}
        gone = ["previous", *(f"#{name}" for name in (*_RECORD, "wanted") if name not in previous)]
        kept = [f"#{name} = :{name}" for name in previous]
        settings = f"SET {', '.join(kept)} " if kept else ""
        values: dict[str, Any] = {f":{name}": value for name, value in previous.items()}
        values |= {":failed": request_id, ":keys": {item["keyArn"]}}
        if previous:
            values[":version"] = int(item["version"]) + 1
        update = f"{settings}REMOVE {', '.join(gone)} ADD grantKeys :keys"
        self._table.update("access", access_id, update, "requestId = :failed", values, names)

    def is_unmanaged(self, access_id: str) -> bool:
        """Whether an owner has withdrawn consent since the last request."""
        return "left" in self._table.get("access", access_id)

    def mark_unmanaged(self, record: AccessRecord, left: Sequence[str]) -> None:
        """Sets the status to `unmanaged` and records what is left in place, unless the record has changed since it was read."""
        values = {":read": record.version, ":next": record.version + 1, ":now": now_text(), ":left": [*left]}
        values |= {":status": "unmanaged"}
        update = "SET #status = :status, #left = :left, version = :next, updatedAt = :now"
        names = {"#status": "status", "#left": "left"}
        with suppress(ConditionFailed):
            self._table.update("access", record.access_id, update, "version = :read", values, names)

    def failed_checks(self, access_id: str) -> tuple[str, ...]:
        """The names of the checks that failed when the status of the access was last observed."""
        return tuple(self._table.get("access", access_id).get("lost", ()))

    def record_status(
        self, record: AccessRecord, status: Status, failed_checks: Sequence[str], change: StatusChange | None = None
    ) -> None:
        """Writes the observed status and the event that reports it in one update.

        If the record has changed since it was read, nothing is written: whoever changed it reports the status.
        """
        values: dict[str, Any] = {":read": record.version, ":next": record.version + 1, ":now": now_text()}
        values |= {":status": status, ":lost": [*failed_checks]}
        update = "SET #status = :status, lost = :lost, version = :next, updatedAt = :now"
        if change:
            values[":change"] = {_text(change)}
            update += " ADD untold :change"
        with suppress(ConditionFailed):
            self._table.update("access", record.access_id, update, "version = :read", values, {"#status": "status"})

    def unpublished(self, access_id: str) -> list[StatusChange]:
        """The status events that were recorded and might not have been published."""
        texts = sorted(self._table.get("access", access_id).get("untold", ()))
        return [StatusChange.model_validate_json(text) for text in texts]

    def note_published(self, access_id: str, change: StatusChange) -> None:
        """Records that a status event was published."""
        self._table.update("access", access_id, "DELETE untold :change", None, {":change": {_text(change)}})


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
