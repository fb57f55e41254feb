"""Items of kind `journal`: what one request creates or changes, recorded before each call together with the state it found.

Each entry belongs to one execution. Another request for the same access neither reads it nor deletes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from latchkey.errors import TransientAwsError
from latchkey.registry.table import ConditionFailed, Table, now_text

# The steps of a request. A rollback goes through them in reverse order: references, which protect everything else, come last.
REQUEST = "00-request"
KEY = "21-key"
KEY_ROTATION = "22-key-rotation"
SECRET = "30-secret"
SECRET_VERSION = "31-secret-version"
SECRET_RESTORATION = "32-secret-restoration"
ROTATION = "33-rotation"
PHASE = "34-phase"
SECRET_KEY = "42-secret-key"
ROLE = "44-role"
RESOURCE = "50-resource"
RECORD = "60-record"
# The steps of an offboarding, which is never rolled back.
DETACHMENT = "70-detachment"
REMOVAL = "72-removal"
_SECRET_DELETION = "74-secret-deletion"
# What a rotation found, in addition to the labels of the secret.
LAST_ROTATION = "lastRotation"
# The result of a creation whose resource could not be read afterwards: the service may not show it yet.
UNSEEN = "created and not seen yet"

# open: the change exists or could exist. done: it was rolled back, or now belongs to somebody else. abandoned: it stays, and
# only a person can decide about it.
EntryState = Literal["open", "done", "abandoned"]


@dataclass(frozen=True)
class Entry:
    """One change of a request: the state that it `found`, what it `wanted`, and the `result`, if the call has returned.

    `noted` is the time before the first attempt of the call. `undone` are the steps of its rollback, `left` is the reason why
    it remains, and `evidence` is the read before a deletion. `access_id` is the access that was changed.
    """

    step: str
    found: Any
    wanted: Any
    result: Any
    state: EntryState
    noted: datetime
    undone: tuple[str, ...] = ()
    left: str | None = None
    evidence: Mapping[str, Any] | None = None
    access_id: str = ""

    @property
    def kind(self) -> str:
        """The step without its number and without the resource that it names."""
        return self.step.split(" ", 1)[0].split("-", 1)[1]


@dataclass(frozen=True)
class OpenJournal:
    """The entries of one execution that are neither settled nor rolled back."""

    execution_arn: str
    access_id: str
    accompanies: bool = False


@dataclass(frozen=True)
class RequestJournal:
    """The journal of one request. An execution is identified by its ARN; the ids of its entries begin with its name.

    A request that moves a secret to another key also changes the other accesses that read the secret. `accompanies`: these are
    the entries about such an access. Their ids end with its ID, so they come right after those about the access of the request.
    `request_id` is in each entry if the lock of the access names it.
    """

    execution_arn: str
    access_id: str
    tenant: str
    _table: Table = field(repr=False)
    accompanies: bool = False
    request_id: str | None = None

    def of_companion(self, access_id: str) -> RequestJournal:
        """The entries of the same request about another access that it changes."""
        return replace(self, access_id=access_id, accompanies=True)

    def intend(self, step: str, wanted: object, *, found: object = None, anew: bool = False) -> Entry:
        """Records a change before its call.

        The state that an earlier attempt found is kept, unless `anew` says that somebody else changed it in between.
        """
        values = self._identity | {":now": now_text(), ":open": "open"}
        values |= {":wanted": json.dumps(wanted), ":found": json.dumps(found)}
        first = ":found" if anew else "if_not_exists(#found, :found)"
        update = (
            f"SET {self._named}, notedAt = if_not_exists(notedAt, :now), #found = {first}, wanted = :wanted, #state = :open"
        )
        return _entry(self._table.update("journal", self._id(step), update, None, values, _NAMES))

    def note_removal(self, step: str, *, found: object = None, wanted: object = None) -> Entry:
        """Records a step of an offboarding before its calls. No rollback follows, so the entry is done from the start.

        What an earlier attempt recorded stays.
        """
        values = self._identity | {":now": now_text(), ":done": "done"}
        values |= {":wanted": json.dumps(wanted), ":found": json.dumps(found)}
        update = f"SET {self._named}, notedAt = if_not_exists(notedAt, :now), #state = :done"
        update += ", #found = if_not_exists(#found, :found), wanted = if_not_exists(wanted, :wanted)"
        return _entry(self._table.update("journal", self._id(step), update, None, values, _NAMES))

    def complete(self, step: str, result: object) -> None:
        """Records the result of a call after it succeeded."""
        self._change(step, "SET #result = :result", {":result": json.dumps(result)}, {"#result": "result"})

    def entry(self, step: str) -> Entry | None:
        """The entry of a step, or None."""
        item = self._table.get("journal", self._id(step))
        return _entry(item) if item else None

    def entries(self) -> list[Entry]:
        """All entries of the request, in the order of the steps, including those about other accesses."""
        return [_entry(item) for item in self._items()]

    def companions(self) -> list[RequestJournal]:
        """The journals of the other accesses that the request changes, by access ID."""
        return [self.of_companion(access_id) for access_id in sorted(self.access_ids() - {self.access_id})]

    def access_ids(self) -> frozenset[str]:
        """The accesses that the request changes."""
        return frozenset(item["accessId"] for item in self._items())

    def _items(self) -> list[dict[str, Any]]:
        return [*self._table.query("journal", f"{self.execution_arn.rsplit(':', 1)[1]}/")]

    def note_undone(self, step: str, text: str) -> None:
        """Records a step of the rollback before its call, so that the outcome lists it even after a crash."""
        self._change(step, "ADD undone :text", {":text": {text}})

    def note_evidence(self, step: str, evidence: object) -> None:
        """Records the read that justifies a deletion, before the deletion."""
        self._change(step, "SET evidence = :read", {":read": json.dumps(evidence)})

    def leave(self, step: str, reason: str) -> None:
        """Records why a change cannot be rolled back now. The sweep tries again."""
        self._change(step, "SET #left = :reason", {":reason": reason}, {"#left": "left"})

    def finish(self, step: str) -> None:
        """Records that a change needs no further rollback."""
        self._change(step, "SET #state = :done REMOVE #left", {":done": "done"}, {"#state": "state", "#left": "left"})

    def leave_nothing(self, step: str) -> None:
        """Records that nothing of a step remains, whatever an earlier attempt recorded."""
        self._change(step, "REMOVE #left", {}, {"#left": "left"})

    def note_unchanged(self, step: str) -> None:
        """Records that a step has changed nothing, although an attempt recorded what it was about to change."""
        self._change(step, "REMOVE #left, undone, evidence", {}, {"#left": "left"})

    def abandon(self, step: str, reason: str) -> None:
        """Records that a change stays permanently, because only a person can decide about it."""
        values, names = {":abandoned": "abandoned", ":reason": reason}, {"#state": "state", "#left": "left"}
        self._change(step, "SET #state = :abandoned, #left = :reason", values, names)

    def settle(self, *, keep_open: bool = False) -> None:
        """Deletes the entries. With `keep_open`, the entries of open changes stay for the sweep."""
        items = self._items()
        kept = {item["id"] for item in items if keep_open and item["state"] == "open"}
        nothing_else = {_entry(item).step for item in items if item["id"] in kept} == {REQUEST}
        for item in items:
            if item["id"] not in kept or nothing_else:
                self._table.delete("journal", item["id"])

    def _change(self, step: str, update: str, values: Mapping[str, Any], names: Mapping[str, str] | None = None) -> None:
        """Changes an entry. Raises TransientAwsError if another execution has settled the journal: the next attempt ends."""
        try:
            self._table.update("journal", self._id(step), update, "attribute_exists(id)", values, names)
        except ConditionFailed:
            raise TransientAwsError("another execution has ended this request in the meantime") from None

    @property
    def _identity(self) -> dict[str, Any]:
        known = {":request": self.request_id} if self.request_id else {}
        return {":access": self.access_id, ":tenant": self.tenant, ":execution": self.execution_arn} | known

    @property
    def _named(self) -> str:
        return _IDENTITY + (", requestId = :request" if self.request_id else "")

    def _id(self, step: str) -> str:
        return f"{self.execution_arn.rsplit(':', 1)[1]}/{step}{_suffix(self.access_id) if self.accompanies else ''}"


class Journal:
    """The journals of all requests."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of(
        self, execution_arn: str, access_id: str, tenant: str, *, accompanies: bool = False, request_id: str | None = None
    ) -> RequestJournal:
        """The journal of one request for its access, or for another access that it changes."""
        return RequestJournal(execution_arn, access_id, tenant, self._table, accompanies, request_id)

    def request_of(self, execution_arn: str) -> Entry | None:
        """The entry with the input of an execution, or None."""
        return self.of(execution_arn, "", "").entry(REQUEST)

    def open(self) -> Iterator[OpenJournal]:
        """The journals with an open entry."""
        items = (item for item in self._table.query("journal") if item["state"] == "open")
        yield from sorted(
            {OpenJournal(item["executionArn"], item["accessId"], _accompanies(item)) for item in items},
            key=lambda one: (one.execution_arn, one.access_id),
        )

    def uses(self, resource: str, access_id: str, *, without: str) -> bool:
        """Whether a request for this access, other than that of the execution `without`, refers to a resource."""
        return any(
            item["accessId"] == access_id and item["executionArn"] != without and _refers(_entry(item), resource)
            for item in self._table.query("journal")
        )


def reference_step(resource: str) -> str:
    """The step that refers to a key, secret or role."""
    return f"10-reference {resource}"


def key_policy_step(key_arn: str) -> str:
    """The step that adds statements to the policy of a key."""
    return f"40-key-policy {key_arn}"


def secret_policy_step(secret_arn: str) -> str:
    """The step that adds statements to the policy of a secret."""
    return f"41-secret-policy {secret_arn}"


def secret_deletion_step(secret_arn: str) -> str:
    """The step that deletes a secret with a recovery window."""
    return f"{_SECRET_DELETION} {secret_arn}"


def _suffix(access_id: str) -> str:
    return f" of {access_id}"


def _accompanies(item: Mapping[str, Any]) -> bool:
    return str(item["id"]).endswith(_suffix(item["accessId"]))


def _refers(entry: Entry, resource: str) -> bool:
    return entry.state == "open" and entry.step == reference_step(resource)


_IDENTITY = "accessId = :access, tenant = :tenant, executionArn = :execution"
_NAMES = {"#found": "found", "#state": "state"}


def _entry(item: Mapping[str, Any]) -> Entry:
    step = item["id"].split("/", 1)[1].removesuffix(_suffix(item["accessId"]))
    texts: Iterable[str] = item.get("undone", ())
    found, wanted, result, evidence = (json.loads(item.get(name, "null")) for name in ("found", "wanted", "result", "evidence"))
    return Entry(
        step=step,
        found=found,
        wanted=wanted,
        result=result,
        state=item["state"],
        noted=datetime.fromisoformat(item["notedAt"]),
        undone=tuple(sorted(texts)),
        left=item.get("left"),
        evidence=evidence,
        access_id=item["accessId"],
    )
