"""What every part of a rollback needs: the failed request, its journal, the registry, and clients that do not retry."""

from __future__ import annotations

from dataclasses import dataclass

from latchkey.access.desired import Desired, desire
from latchkey.access.record import AccessRecord
from latchkey.aws.clients import Clients
from latchkey.registry import Registry
from latchkey.registry.journal import Entry, RequestJournal
from latchkey.removal.removal import Removal
from latchkey.settings import Settings


class Decision(str):
    """A reason that only a person can resolve: the change is reported once and abandoned, and the rollback goes on."""

    __slots__ = ()


@dataclass(frozen=True)
class Recorded:
    """A record of the access, and the request that it fulfills; None if an earlier version did not record the request."""

    record: AccessRecord
    desired: Desired | None

    @property
    def resources(self) -> frozenset[str]:
        """The key, the secret, the consumer resource and the role, by their names in the registry and their ARNs."""
        record, desired = self.record, self.desired
        role = desired.role(record.key_arn, record.secret_arn) if desired and record.secret_arn else None
        secret = desired.secret_resource if desired and desired.reads_secret else None
        role_arn = role.arn(desired.place) if desired and role else None
        named = (record.key_arn, record.secret_arn, record.resource_arn, secret, role_arn)
        return frozenset(name for name in named if name)


@dataclass(frozen=True)
class Rollback:
    """The rollback of one request. It changes only what the journal of this request lists."""

    desired: Desired
    journal: RequestJournal
    settings: Settings
    registry: Registry
    clients: Clients

    @property
    def access_id(self) -> str:
        return self.desired.access_id

    def note(self, entry: Entry, text: str) -> None:
        """Records a step before it is carried out, so that the outcome lists it even if the function crashes right after it."""
        self.journal.note_undone(entry.step, text)

    def created(self, step: str, arn: str) -> bool:
        """Whether this request created a key or secret, whose rollback includes that of its policy."""
        entry = self.journal.entry(step)
        return entry is not None and entry.state == "open" and entry.result is not None and entry.result["arn"] == arn

    def removal(self, entry: Entry) -> Removal:
        """The removal of what one step of the failed request created or added.

        The statements that stay are those of the requests that the access fulfills or has handed off.
        """
        return Removal(
            desired=self.desired,
            settings=self.settings,
            registry=self.registry,
            clients=self.clients,
            note=lambda text: self.note(entry, text),
            note_evidence=lambda read: self.journal.note_evidence(entry.step, read.model_dump(mode="json", by_alias=True)),
            kept=lambda resource: [one.desired for one in self.recorded() if one.desired and resource in one.resources],
            is_used=self.is_used_by_own_access,
        )

    def entries_of_others(self, step: str) -> list[Entry]:
        """The open entries of a step in the journals of the other requests of this access."""
        journal, own = self.registry.journal, self.journal
        others = (one for one in journal.open() if one.access_id == self.access_id and one.execution_arn != own.execution_arn)
        found = (
            journal.of(one.execution_arn, self.access_id, own.tenant, accompanies=one.accompanies).entry(step) for one in others
        )
        return [entry for entry in found if entry and entry.state == "open"]

    def is_used_by_own_access(self, resource: str) -> bool:
        """Whether the record or hand-off of this access, or another of its requests, uses a key, secret or role."""
        return self.is_used_by_another_request(resource) or self.is_recorded(resource)

    def is_used_by_another_request(self, resource: str) -> bool:
        """Whether another request of this access, whose journal is open, refers to a key, secret or role."""
        return self.registry.journal.uses(resource, self.access_id, without=self.journal.execution_arn)

    def is_used_by_records(self, resource: str) -> bool:
        """Whether a recorded access uses a key or secret, which then no longer belongs to this request.

        What the request did with other accesses is rolled back together with its own.
        """
        users = self.registry.resources.others(resource, self.access_id) - self.journal.access_ids()
        return self.is_recorded(resource) or any(self.registry.accesses.get(access_id) for access_id in users)

    def is_recorded(self, resource: str) -> bool:
        """Whether the record or the unconfirmed hand-off of this access names the key, secret or role."""
        return any(resource in one.resources for one in self.recorded())

    def recorded(self) -> list[Recorded]:
        """The record of this access and its unconfirmed hand-off, if any. What this request recorded is rolled back first.

        An offboarded access whose resource no longer uses the secret needs nothing.
        """
        accesses, access_id = self.registry.accesses, self.access_id
        record, pending = accesses.get(access_id), accesses.to_confirm(access_id)
        offboarded = self.registry.offboardings.get(access_id)
        is_over = offboarded is not None and not offboarded.reads
        found = [(record, accesses.recorded_request(access_id))] if record and not is_over else []
        found += [(pending.record, pending.request)] if pending and pending.is_pending else []
        return [Recorded(one, desire(own, self.settings, self.desired.tenant) if own else None) for one, own in found]
