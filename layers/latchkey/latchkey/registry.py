"""The registry of what should be true: one DynamoDB table, every write on a condition, leases for read-merge-write."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from latchkey import aws
from latchkey.errors import Conflict, LatchkeyError, NotYetEffective, TransientAwsError
from latchkey.items import ConditionFailed, Items
from latchkey.settings import settings

# Longer than the timeout of any function that holds one, so that a lease never ends under a living holder.
LEASE_SECONDS = 180

LEASE_WAIT_SECONDS = 10

# Longer than the state machine may run.
STALE_SECONDS = 2 * 3600

_RECORD = ("system", "status", "requestId", "keyArn", "secretArn", "resourceArn", "version")


@dataclass(frozen=True)
class AccessRecord:
    """What the registry knows of one access; `version` rises by one with every write."""

    access_id: str
    system: str
    status: str
    request_id: str
    key_arn: str
    secret_arn: str
    resource_arn: str
    version: int = 0


@dataclass(frozen=True)
class NotedKey:
    """A key that was begun for an alias; its ARN is missing if the answer of CreateKey was lost."""

    arn: str | None
    begun: datetime
    request_id: str


class Registry(Items):
    """What is recorded of requests, accesses and resources, and who holds which lease."""

    def claim_request(self, request_id: str, content_hash: str, execution_arn: str) -> None:
        """Records the request before it changes anything; raises Conflict if its id stands for other content."""
        try:
            self._update(
                "request",
                request_id,
                "SET contentHash = :hash, executionArn = :execution, receivedAt = if_not_exists(receivedAt, :now)",
                "attribute_not_exists(id) OR (contentHash = :hash AND executionArn = :execution)",
                {":hash": content_hash, ":execution": execution_arn, ":now": _now()},
            )
        except ConditionFailed:
            raise Conflict("this request id has been used for another request") from None

    def record_outcome(
        self, request_id: str, content_hash: str, outcome_id: str, detail_type: str, detail: str
    ) -> tuple[str, str]:
        """Records a request's one outcome and returns what is recorded: this one, or the one that was there before.

        A request whose id belongs to other content has its outcome under an id of its own.
        """
        values = {":hash": content_hash, ":id": outcome_id, ":type": detail_type, ":detail": detail, ":now": _now()}
        update = "SET contentHash = :hash, outcomeId = :id, outcomeType = :type, outcome = :detail, endedAt = :now"
        first = "attribute_not_exists(outcomeId) AND (attribute_not_exists(contentHash) OR contentHash = :hash)"
        for item_id in (request_id, f"{request_id}/{content_hash[:16]}"):
            try:
                self._update("request", item_id, update, first, values)
                return detail_type, detail
            except ConditionFailed:
                recorded = self._get("request", item_id)
                if recorded["contentHash"] == content_hash:
                    return recorded["outcomeType"], recorded["outcome"]
        raise Conflict("two requests share an id and the beginning of their content hash")

    def access(self, access_id: str) -> AccessRecord | None:
        """What is recorded of an access that has been onboarded, or None."""
        item = self._get("access", access_id)
        return _access(item) if "version" in item else None

    def begin_access(self, access_id: str, request: Mapping[str, Any], execution_arn: str) -> None:
        """Takes the access for one request and notes what it wants; raises NotYetEffective while another has it.

        A request that ended without saying so holds it no longer than any execution can last.
        """
        now = int(time.time())
        values = {":me": execution_arn, ":now": now, ":stale": now - STALE_SECONDS, ":request": json.dumps(request)}
        try:
            self._update(
                "access",
                access_id,
                "SET running = :me, runningSince = :now, pending = :request",
                "attribute_not_exists(running) OR running = :me OR runningSince < :stale",
                values,
            )
        except ConditionFailed:
            raise NotYetEffective("another request is working on this access") from None

    def has_access(self, access_id: str, execution_arn: str) -> bool:
        """Is it this execution that has the access now?"""
        return self._get("access", access_id).get("running") == execution_arn

    def end_access(self, access_id: str, execution_arn: str) -> None:
        """Gives the access free for the next request, if this execution has it."""
        with suppress(ConditionFailed):
            self._update(
                "access",
                access_id,
                "REMOVE running, runningSince, pending, former, previous, undone",
                "running = :me",
                {":me": execution_arn},
            )

    def note_former(self, access_id: str, former: Mapping[str, Any] | None) -> None:
        """Notes what the resource was set to before this request touched it (None: it was not there); only the first counts."""
        self._update("access", access_id, "SET former = if_not_exists(former, :former)", None, {":former": json.dumps(former)})

    def former(self, access_id: str) -> tuple[bool, Any]:
        """Whether the running request touched the resource, and what that was set to before."""
        noted = self._get("access", access_id).get("former")
        return noted is not None, json.loads(noted) if noted is not None else None

    def note_undone(self, access_id: str, told: str) -> None:
        """Notes what is about to be taken back: a try after a crash finishes it, and then tells it too."""
        self._update("access", access_id, "ADD undone :told", None, {":told": {told}})

    def undone(self, access_id: str) -> tuple[str, ...]:
        """What has been taken back for the running request."""
        return tuple(sorted(self._get("access", access_id).get("undone", ())))

    def save_access(self, record: AccessRecord, wanted: Mapping[str, Any]) -> AccessRecord:
        """Writes an access and the request it fulfils, over the version it was read with, which is kept for an undo.

        Raises TransientAwsError if somebody wrote it in between: read again and decide again.
        """
        saved = replace(record, version=record.version + 1)
        item = self._get("access", record.access_id)
        previous = {name: str(item[name]) for name in (*_RECORD, "wanted") if name in item}
        names = {f"#{name}": name for name in _wire(saved)}
        values = {f":{name}": value for name, value in _wire(saved).items()} | {":read": record.version, ":now": _now()}
        values |= {":wanted": json.dumps(wanted), ":previous": json.dumps(previous)}
        settings = ", ".join(f"#{name} = :{name}" for name in _wire(saved))
        try:
            self._update(
                "access",
                saved.access_id,
                f"SET {settings}, wanted = :wanted, previous = :previous, updatedAt = :now",
                "attribute_not_exists(version) OR version = :read",
                values,
                names,
            )
        except ConditionFailed:
            raise TransientAwsError("the access was written by somebody else meanwhile") from None
        return saved

    def restore_access(self, access_id: str, request_id: str) -> None:
        """Takes back what `save_access` wrote for a request that failed nevertheless; twice equals once."""
        item = self._get("access", access_id)
        if item.get("requestId") != request_id or "previous" not in item:
            return
        previous = json.loads(item["previous"])
        names = {f"#{name}": name for name in (*_RECORD, "wanted")}
        gone = ["previous", *(f"#{name}" for name in (*_RECORD, "wanted") if name not in previous)]
        kept = [f"#{name} = :{name}" for name in previous]
        settings = f"SET {', '.join(kept)} " if kept else ""
        values = {f":{name}": value for name, value in previous.items()} | {":failed": request_id}
        if previous:
            values[":version"] = int(item["version"]) + 1
        self._update("access", access_id, f"{settings}REMOVE {', '.join(gone)}", "requestId = :failed", values, names)

    def refer(self, resource: str, access_id: str) -> None:
        """Says, before it uses a key or secret, that an access does; raises NotYetEffective while that is being removed."""
        try:
            self._update(
                "resource", resource, "ADD accesses :access", "attribute_not_exists(removing)", {":access": {access_id}}
            )
        except ConditionFailed:
            raise NotYetEffective(f"{resource} is being removed by another request") from None

    def await_removal(self, resource: str) -> None:
        """Raises NotYetEffective while a key or secret is being removed."""
        if "removing" in self._get("resource", resource):
            raise NotYetEffective(f"{resource} is being removed by another request")

    def begin_removal(self, resource: str, access_id: str) -> bool:
        """Closes a key or secret to new accesses; False, and nothing changed, if any other access refers to it."""
        try:
            self._update(
                "resource",
                resource,
                "SET removing = :now",
                "attribute_not_exists(accesses) OR accesses = :only",
                {":now": _now(), ":only": {access_id}},
            )
        except ConditionFailed:
            return False
        return True

    def forget(self, resource: str) -> None:
        """Takes a removed key or secret out of the registry, so that its name may be used again."""
        self._delete("resource", resource)

    def forget_key(self, alias: str, key_arn: str) -> None:
        """Takes out what was noted of the key of an alias, unless another request has begun a new one."""
        with suppress(ConditionFailed):
            self._delete("resource", alias, "keyArn = :arn", {":arn": key_arn})

    def forget_closed(self, resource: str) -> None:
        """Finishes a removal that came no further than the thing itself."""
        with suppress(ConditionFailed):
            self._delete("resource", resource, "attribute_exists(removing)")

    def release(self, resource: str, access_id: str) -> None:
        """Takes back what `refer` said."""
        self._update("resource", resource, "DELETE accesses :access", None, {":access": {access_id}})

    def wanted_before(self, access_id: str) -> dict[str, Any] | None:
        """The request that an access last fulfilled, whatever runs now."""
        wanted = self._get("access", access_id).get("wanted")
        return json.loads(wanted) if wanted else None

    def others(self, resource: str, access_id: str) -> frozenset[str]:
        """The accesses beside this one that refer to a key or secret."""
        return frozenset(self._get("resource", resource).get("accesses", ())) - {access_id}

    def requests_of(self, resource: str, *, beside: str) -> list[dict[str, Any]]:
        """What the accesses that refer to a key or secret want of it, without one of them."""
        items = [self._get("access", access_id) for access_id in sorted(self.others(resource, beside))]
        wanted = [text for item in items for text in (item.get("wanted"), item.get("pending")) if text]
        return [json.loads(text) for text in wanted]

    def origin_hosts(self, secret: str) -> frozenset[str]:
        """The hosts to which the accesses of a secret send its token."""
        return frozenset(self._get("resource", secret).get("hosts", ()))

    def add_origin_host(self, secret: str, host: str) -> None:
        """Notes, before the secret is made or used, where its token goes."""
        self._update("resource", secret, "ADD hosts :host", None, {":host": {host}})

    def key_noted_for(self, alias: str) -> NotedKey | None:
        """What is known of the key for an alias before the alias is made, or None if nobody began to make one."""
        item = self._get("resource", alias)
        if "begunAt" not in item:
            return None
        return NotedKey(item.get("keyArn"), datetime.fromisoformat(item["begunAt"]), item["begunFor"])

    def begin_key(self, alias: str, request_id: str) -> None:
        """Notes that a key is about to be made: should its answer be lost, somebody must look for its request's tag."""
        values = {":now": _now(), ":request": request_id}
        self._update("resource", alias, "SET begunAt = :now, begunFor = :request REMOVE keyArn", None, values)

    def note_key(self, alias: str, key_arn: str) -> None:
        """Notes a key at once when it is made: until it has its alias, nothing else finds it."""
        self._update("resource", alias, "SET keyArn = :arn", None, {":arn": key_arn})

    @contextmanager
    def lease(self, name: str) -> Iterator[None]:
        """Holds `name` alone while the body runs; a crash frees it by time.

        Raises NotYetEffective if another holds it for longer than a short wait: the state machine asks again.
        """
        holder, deadline = uuid.uuid4().hex, time.monotonic() + LEASE_WAIT_SECONDS
        try:
            while not self._take(name, holder):
                if time.monotonic() > deadline:
                    raise NotYetEffective(f"another request is working on {name}")
                time.sleep(secrets.randbelow(400) / 1000 + 0.1)
            yield
        finally:
            # Also if it was refused: the answer that it was taken may have been lost.
            self._release(name, holder)

    def _take(self, name: str, holder: str) -> bool:
        now = int(time.time())
        item = {"kind": "lease", "id": name, "holder": holder, "expiresAt": now + LEASE_SECONDS}
        condition = "attribute_not_exists(id) OR expiresAt < :now OR holder = :holder"
        try:
            self._put(item, condition, {":now": now, ":holder": holder})
        except ConditionFailed:
            return False
        return True

    def _release(self, name: str, holder: str) -> None:
        # What was done under the lease is done; a lease that cannot be given back ends by time.
        with suppress(ConditionFailed, LatchkeyError):
            self._delete("lease", name, "holder = :holder", {":holder": holder})


@cache
def registry() -> Registry:
    """The registry of this stack."""
    return Registry(aws.dynamodb(), settings().access_table)


def _access(item: Mapping[str, Any]) -> AccessRecord:
    return AccessRecord(
        access_id=item["id"],
        system=item["system"],
        status=item["status"],
        request_id=item["requestId"],
        key_arn=item["keyArn"],
        secret_arn=item["secretArn"],
        resource_arn=item["resourceArn"],
        version=int(item["version"]),
    )


def _wire(record: AccessRecord) -> dict[str, Any]:
    return {
        "system": record.system,
        "status": record.status,
        "requestId": record.request_id,
        "keyArn": record.key_arn,
        "secretArn": record.secret_arn,
        "resourceArn": record.resource_arn,
        "version": record.version,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
