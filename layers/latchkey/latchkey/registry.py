"""The registry of what should be true: one DynamoDB table, every write on a condition, leases for read-merge-write."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from latchkey import aws
from latchkey.accesses import AccessRecord, is_exclusive
from latchkey.errors import Conflict, NotYetEffective, TransientAwsError
from latchkey.settings import settings
from latchkey.table import ConditionFailed, Table, now_text

if TYPE_CHECKING:
    from latchkey.hints import Concern

# Longer than the state machine may run.
STALE_SECONDS = 2 * 3600

# KMS does not list a new grant for up to five minutes, by another clock than ours:
# https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
UNLISTED = timedelta(minutes=10)

_KEY_ARN = re.compile(r"arn:[^:]+:kms:[^:]+:[^:]+:key/")

_RECORD = ("system", "status", "reached", "requestId", "keyArn", "secretArn", "resourceArn", "version")


@dataclass(frozen=True)
class NotedKey:
    """A key that was begun for an alias; its ARN is missing if the answer of CreateKey was lost."""

    arn: str | None
    begun: datetime
    request_id: str


@dataclass(frozen=True)
class Want:
    """A request that an access fulfils under this key, or that passed its checks and is on its way to a key."""

    request: dict[str, Any]
    key_arn: str | None


@dataclass(frozen=True)
class KnownAccess:
    """An access with every key on which its service may hold a grant; `record` is None if it was never onboarded.

    `unfinished` is the execution whose undo left something; `untold`: a change of its state may not have been published.
    """

    access_id: str
    record: AccessRecord | None
    grant_keys: frozenset[str]
    is_running: bool
    unfinished: str | None
    untold: bool


class Registry:
    """Items are addressed by `kind` (request, access, resource, lease) and `id`."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.lease = table.lease

    def claim_request(self, request_id: str, content_hash: str, execution_arn: str) -> None:
        """Records the request before it changes anything; raises Conflict if its id stands for other content."""
        try:
            self._table.update(
                "request",
                request_id,
                "SET contentHash = :hash, executionArn = :execution, receivedAt = if_not_exists(receivedAt, :now)",
                "attribute_not_exists(id) OR (contentHash = :hash AND executionArn = :execution)",
                {":hash": content_hash, ":execution": execution_arn, ":now": now_text()},
            )
        except ConditionFailed:
            raise Conflict("this request id has been used for another request") from None

    def record_outcome(
        self, request_id: str, content_hash: str, outcome_id: str, detail_type: str, detail: str
    ) -> tuple[str, str]:
        """Records a request's one outcome and returns what is recorded: this one, or the one that was there before.

        A request whose id belongs to other content has its outcome under an id of its own.
        """
        values = {":hash": content_hash, ":id": outcome_id, ":type": detail_type, ":detail": detail, ":now": now_text()}
        update = "SET contentHash = :hash, outcomeId = :id, outcomeType = :type, outcome = :detail, endedAt = :now"
        first = "attribute_not_exists(outcomeId) AND (attribute_not_exists(contentHash) OR contentHash = :hash)"
        for item_id in _request_items(request_id, content_hash):
            try:
                self._table.update("request", item_id, update, first, values)
                return detail_type, detail
            except ConditionFailed:
                recorded = self._table.get("request", item_id)
                if recorded["contentHash"] == content_hash:
                    return recorded["outcomeType"], recorded["outcome"]
        raise Conflict("two requests share an id and the beginning of their content hash")

    def has_outcome(self, request_id: str, content_hash: str) -> bool:
        """Has the outcome of this request, with this content, been recorded?"""
        items = (self._table.get("request", item_id) for item_id in _request_items(request_id, content_hash))
        return any("outcomeId" in item and item["contentHash"] == content_hash for item in items)

    def access(self, access_id: str) -> AccessRecord | None:
        """What is recorded of an access that has been onboarded, or None."""
        item = self._table.get("access", access_id)
        return _access(item) if "version" in item else None

    def accesses(self) -> Iterator[KnownAccess]:
        """Every access that was ever begun."""
        for item in self._table.query("access"):
            record = _access(item) if "version" in item else None
            facts = (_grant_keys(item), _is_running(item), item.get("unfinished"), bool(item.get("untold")))
            yield KnownAccess(item["id"], record, *facts)

    def keys(self) -> frozenset[str]:
        """Every key on which a service may hold a grant."""
        return frozenset(self.referred_keys()).union(*(access.grant_keys for access in self.accesses()))

    def referred_keys(self) -> dict[str, frozenset[str]]:
        """Every key that an access referred to, with those that do now: others than these may be under it as well."""
        items = (item for item in self._table.query("resource") if _KEY_ARN.match(item["id"]))
        return {item["id"]: frozenset(item.get("accesses", ())) for item in items}

    def are_exclusive(self, keys: Iterable[str]) -> frozenset[str]:
        """Those of the keys that serve an access whose key nobody touches."""
        return frozenset(key for key in keys if is_exclusive(self._table.get("resource", key).get("accesses", ())))

    def unanswered(self, before: datetime) -> Iterator[str]:
        """The executions of the requests that were received before some time and have no outcome."""
        for item in self._table.query("request", without="outcomeId"):
            if datetime.fromisoformat(item["receivedAt"]) < before:
                yield item["executionArn"]

    def begin_access(self, access_id: str, execution_arn: str) -> None:
        """Takes the access for one request; raises NotYetEffective while another has it.

        A request that ended without saying so holds it no longer than any execution can last. What an undo left is kept until
        a request is recorded.
        """
        now = int(time.time())
        values = {":me": execution_arn, ":now": now, ":stale": now - STALE_SECONDS}
        free = "attribute_not_exists(running) OR running = :me OR runningSince < :stale"
        try:
            self._table.update("access", access_id, "SET running = :me, runningSince = :now REMOVE pending", free, values)
        except ConditionFailed:
            raise NotYetEffective("another request is working on this access") from None

    def admit(self, access_id: str, request: Mapping[str, Any], execution_arn: str) -> None:
        """Notes what the request that has the access wants, now that it may have it: others write it into policies along."""
        values = {":me": execution_arn, ":request": json.dumps(request)}
        try:
            self._table.update("access", access_id, "SET pending = :request", "running = :me", values)
        except ConditionFailed:
            raise NotYetEffective("another request is working on this access") from None

    def take_up(self, access_id: str, execution_arn: str) -> bool:
        """Takes an access again whose undo this execution left unfinished; False if there is no such thing."""
        now = int(time.time())
        values = {":me": execution_arn, ":now": now, ":stale": now - STALE_SECONDS}
        free = "attribute_not_exists(running) OR running = :me OR runningSince < :stale"
        try:
            self._table.update(
                "access", access_id, "SET running = :me, runningSince = :now", f"unfinished = :me AND ({free})", values
            )
        except ConditionFailed:
            return False
        return True

    def has_access(self, access_id: str, execution_arn: str) -> bool:
        """Is it this execution that has the access now?"""
        return self._table.get("access", access_id).get("running") == execution_arn

    def end_access(self, access_id: str, execution_arn: str, *, unfinished: bool = False) -> None:
        """Gives the access free for the next request, if this execution has it.

        What an `unfinished` undo needs is kept, until it is taken up again or a request needs the access.
        """
        mine = "running = :me"
        if unfinished:
            update, condition = "SET unfinished = :me REMOVE running, runningSince, pending", mine
        else:
            update = "REMOVE running, runningSince, pending, former, previous, undone, unfinished"
            condition = f"{mine} AND (attribute_not_exists(unfinished) OR unfinished = :me)"
        try:
            self._table.update("access", access_id, update, condition, {":me": execution_arn})
        except ConditionFailed:
            with suppress(ConditionFailed):  # another's unfinished undo needs the rest
                self._table.update("access", access_id, "REMOVE running, runningSince, pending", mine, {":me": execution_arn})

    def note_former(self, access_id: str, former: Mapping[str, Any] | None, grant_key_arn: str | None) -> None:
        """Notes what the resource was set to before this request touched it (None: it was not there); only the first counts.

        From now on the service may hold a grant on the key, if its service makes grants.
        """
        values: dict[str, Any] = {":former": json.dumps(former)}
        update = "SET former = if_not_exists(former, :former)"
        if grant_key_arn:
            update = f"{update}, grantKeysAt = :now ADD grantKeys :keys"
            values |= {":now": now_text(), ":keys": {grant_key_arn}}
        self._table.update("access", access_id, update, None, values)

    def note_role_change(self, access_id: str) -> None:
        """Notes that the role of the access is about to change: IAM tells no time of that."""
        values = {":now": datetime.now(UTC).isoformat()}
        self._table.update("access", access_id, "SET roleChangedAt = :now", None, values)

    def role_changed(self, access_id: str) -> datetime | None:
        """When the role of the access was last made or changed."""
        noted = self._table.get("access", access_id).get("roleChangedAt")
        return datetime.fromisoformat(noted) if noted else None

    def grant_keys(self, access_id: str) -> frozenset[str]:
        """Every key on which the access's service may hold a grant, former ones included."""
        return _grant_keys(self._table.get("access", access_id))

    def forget_grant_key(self, access_id: str, key_arn: str) -> None:
        """Says that no grant is listed on a key any more, unless a request wants one there, or just did."""
        settled = (datetime.now(UTC) - UNLISTED).isoformat(timespec="milliseconds")
        condition = "attribute_not_exists(running) AND (attribute_not_exists(grantKeysAt) OR grantKeysAt < :settled)"
        with suppress(ConditionFailed):
            values = {":keys": {key_arn}, ":settled": settled}
            self._table.update("access", access_id, "DELETE grantKeys :keys", condition, values)

    def former(self, access_id: str) -> tuple[bool, Any]:
        """Whether the running request touched the resource, and what that was set to before."""
        noted = self._table.get("access", access_id).get("former")
        return noted is not None, json.loads(noted) if noted is not None else None

    def note_undone(self, access_id: str, told: str) -> None:
        """Notes what is about to be taken back: a try after a crash finishes it, and then tells it too."""
        self._table.update("access", access_id, "ADD undone :told", None, {":told": {told}})

    def undone(self, access_id: str) -> tuple[str, ...]:
        """What has been taken back for the running request."""
        return tuple(sorted(self._table.get("access", access_id).get("undone", ())))

    def save_access(self, record: AccessRecord, wanted: Mapping[str, Any]) -> AccessRecord:
        """Writes an access and the request it fulfils, over the version it was read with, which is kept for an undo.

        The service may hold a grant on the key it had, and on the one it has now. Raises TransientAwsError if somebody wrote
        it in between: read again and decide again.
        """
        saved = replace(record, version=record.version + 1)
        item = self._table.get("access", record.access_id)
        previous = {name: str(item[name]) for name in (*_RECORD, "wanted") if name in item}
        gone = [name for name in (*_RECORD, "left", "lost") if name not in _wire(saved)]
        names = {f"#{name}": name for name in (*_wire(saved), *gone)}
        values = {f":{name}": value for name, value in _wire(saved).items()} | {":read": record.version, ":now": now_text()}
        values |= {":wanted": json.dumps(wanted), ":previous": json.dumps(previous)}
        values[":keys"] = _grant_keys(item) | {saved.key_arn}
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
            raise TransientAwsError("the access was written by somebody else meanwhile") from None
        return saved

    def restore_access(self, access_id: str, request_id: str) -> None:
        """Takes back what `save_access` wrote for a request that failed nevertheless; twice equals once."""
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

    def is_unfinished(self, access_id: str, execution_arn: str) -> bool:
        """Did the undo of this execution leave something that nobody took up since?"""
        item = self._table.get("access", access_id)
        return item.get("unfinished") == execution_arn and item.get("running") in (None, execution_arn)

    def is_running(self, access_id: str) -> bool:
        """Is a request working on the access?"""
        return _is_running(self._table.get("access", access_id))

    def is_given_up(self, access_id: str) -> bool:
        """Has an owner withdrawn consent since the last request?"""
        return "left" in self._table.get("access", access_id)

    def give_up(self, record: AccessRecord, left: Sequence[str]) -> None:
        """Marks an access as unmanaged and notes what is left of it; one that was written since is left to its writer."""
        values = {
            ":read": record.version,
            ":next": record.version + 1,
            ":now": now_text(),
            ":left": [*left],
            ":given": "unmanaged",
        }
        with suppress(ConditionFailed):
            self._table.update(
                "access",
                record.access_id,
                "SET #status = :given, #left = :left, version = :next, updatedAt = :now",
                "version = :read",
                values,
                {"#status": "status", "#left": "left"},
            )

    def refer(self, resource: str, access_id: str) -> None:
        """Says, before it uses a key or secret, that an access does; raises NotYetEffective while that is being removed."""
        try:
            self._table.update(
                "resource", resource, "ADD accesses :access", "attribute_not_exists(removing)", {":access": {access_id}}
            )
        except ConditionFailed:
            raise NotYetEffective(f"{resource} is being removed by another request") from None

    def is_referred(self, resource: str, access_id: str) -> bool:
        """Has an access said that it uses a resource?"""
        return access_id in self._table.get("resource", resource).get("accesses", ())

    def await_removal(self, resource: str) -> None:
        """Raises NotYetEffective while a key or secret is being removed."""
        if "removing" in self._table.get("resource", resource):
            raise NotYetEffective(f"{resource} is being removed by another request")

    def begin_removal(self, resource: str, access_id: str) -> bool:
        """Closes a key or secret to new accesses; False, and nothing changed, if any other access refers to it."""
        try:
            self._table.update(
                "resource",
                resource,
                "SET removing = :now",
                "attribute_not_exists(accesses) OR accesses = :only",
                {":now": now_text(), ":only": {access_id}},
            )
        except ConditionFailed:
            return False
        return True

    def forget(self, resource: str) -> None:
        """Takes a removed key or secret out of the registry, so that its name may be used again."""
        self._table.delete("resource", resource)

    def forget_key(self, alias: str, key_arn: str) -> None:
        """Takes out what was noted of the key of an alias, unless another request has begun a new one."""
        with suppress(ConditionFailed):
            self._table.delete("resource", alias, "keyArn = :arn", {":arn": key_arn})

    def forget_closed(self, resource: str) -> None:
        """Finishes a removal that came no further than the thing itself."""
        with suppress(ConditionFailed):
            self._table.delete("resource", resource, "attribute_exists(removing)")

    def release(self, resource: str, access_id: str) -> None:
        """Takes back what `refer` said."""
        self._table.update("resource", resource, "DELETE accesses :access", None, {":access": {access_id}})

    def wanted_before(self, access_id: str) -> dict[str, Any] | None:
        """The request that an access last fulfilled, whatever runs now."""
        wanted = self._table.get("access", access_id).get("wanted")
        return json.loads(wanted) if wanted else None

    def others(self, resource: str, access_id: str) -> frozenset[str]:
        """The accesses beside this one that refer to a key or secret."""
        return frozenset(self._table.get("resource", resource).get("accesses", ())) - {access_id}

    def concerned(self, concern: Concern) -> list[str]:
        """The accesses that a hint names, if anything is known of them, and those that refer to what it names."""
        known = {access_id for access_id in concern.accesses if self._table.get("access", access_id).keys() - {"kind", "id"}}
        items = [self._table.get("resource", resource) for resource in concern.resources]
        return sorted(known.union(*(item.get("accesses", ()) for item in items)))

    def wants_of(self, resource: str, *, beside: str) -> list[Want]:
        """What the accesses that refer to a key or secret, or once did, want of any, without one of them."""
        items = [self._table.get("access", access_id) for access_id in sorted(self.others(resource, beside))]
        wanted = [(text, key) for item in items for text, key in _wants(item) if text]
        return [Want(json.loads(text), key) for text, key in wanted]

    def origin_hosts(self, secret: str) -> frozenset[str]:
        """The hosts to which the accesses of a secret send its token."""
        return frozenset(self._table.get("resource", secret).get("hosts", ()))

    def add_origin_host(self, secret: str, host: str) -> None:
        """Notes, before the secret is made or used, where its token goes."""
        self._table.update("resource", secret, "ADD hosts :host", None, {":host": {host}})

    def key_noted_for(self, alias: str) -> NotedKey | None:
        """What is known of the key for an alias before the alias is made, or None if nobody began to make one."""
        item = self._table.get("resource", alias)
        if "begunAt" not in item:
            return None
        return NotedKey(item.get("keyArn"), datetime.fromisoformat(item["begunAt"]), item["begunFor"])

    def begin_key(self, alias: str, request_id: str) -> None:
        """Notes that a key is about to be made: should its answer be lost, somebody must look for its request's tag."""
        values = {":now": now_text(), ":request": request_id}
        self._table.update("resource", alias, "SET begunAt = :now, begunFor = :request REMOVE keyArn", None, values)

    def note_key(self, alias: str, key_arn: str) -> None:
        """Notes a key at once when it is made: until it has its alias, nothing else finds it."""
        self._table.update("resource", alias, "SET keyArn = :arn", None, {":arn": key_arn})


@cache
def registry() -> Registry:
    """The registry of this stack."""
    return Registry(Table(aws.dynamodb(), settings().access_table))


def _request_items(request_id: str, content_hash: str) -> tuple[str, str]:
    """Where a request may stand: under its id, or, if that belongs to other content, under one of its own."""
    return request_id, f"{request_id}/{content_hash[:16]}"


def _is_running(item: Mapping[str, Any]) -> bool:
    """Whoever has an access for longer than any execution can last has died with it."""
    return "running" in item and int(item["runningSince"]) >= int(time.time()) - STALE_SECONDS


def _wants(item: Mapping[str, Any]) -> tuple[tuple[str | None, str | None], ...]:
    return (item.get("wanted"), item.get("keyArn")), (item.get("pending"), None)


def _grant_keys(item: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(item.get("grantKeys", ())) | ({item["keyArn"]} if "keyArn" in item else set())


def _access(item: Mapping[str, Any]) -> AccessRecord:
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
    }
    return {name: value for name, value in wire.items() if value is not None}
