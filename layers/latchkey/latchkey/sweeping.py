"""The sweep: finds what no event told, by reads of everything Latchkey refers to; what it finds, others treat."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from latchkey.accesses import AccessRecord, has_grants, is_exclusive, subject_of
from latchkey.documents import Document
from latchkey.errors import LatchkeyError
from latchkey.grants import is_another_secret, names_secret, serves
from latchkey.hints import CleanUpInput
from latchkey.looking import Looking
from latchkey.observed import find_key
from latchkey.ownership import Owned, Ownership, read_ownership
from latchkey.registry import KnownAccess, Registry
from latchkey.revocations import Revocation, Revocations
from latchkey.settings import Settings
from latchkey.steps import logger
from latchkey.turns import Turns

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient

# Longer than any execution may take; only then has nobody answered, and nobody will.
UNANSWERED = timedelta(hours=2)


class Swept(Document):
    """What a sweep read, how many keys and secrets it could not read, and for what it started executions.

    Nothing of this if another sweeps at the time.
    """

    accesses: int = 0
    keys: int = 0
    grants: int = 0
    unreadable: int = 0
    cleaning: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    another_sweeps: bool = False


@dataclass(frozen=True)
class Sweep:
    """Reads everything first: a read that fails ends the sweep before anything is started.

    A key or secret whose owner refuses the read holds up nothing but its own grants.
    """

    settings: Settings
    registry: Registry
    revocations: Revocations
    turns: Turns
    looking: Looking
    stepfunctions: SFNClient
    clean_up_machine_arn: str
    end_request_machine_arn: str

    def __call__(self, event_id: str) -> Swept:
        """Sweeps, unless another does: whoever asks again and again starts neither sweeps side by side nor more executions."""
        occasion = self.turns.begin(event_id, self.settings.grace_seconds)
        if occasion is None:
            logger.info("another sweep is under way")
            return Swept(anotherSweeps=True)
        try:
            return self._sweep(occasion)
        finally:
            # What cannot be given back ends by time.
            with suppress(LatchkeyError):
                self.turns.end(event_id)

    def _sweep(self, occasion: str) -> Swept:
        """Starts a clean-up for each access that needs one, and an end for each request without an outcome or a whole undo.

        The executions are named by the occasion, so that an event delivered twice starts nothing twice.
        """
        known = [*self.registry.accesses()]
        taken = self.revocations.taken()
        referred = self.registry.referred_keys()
        exclusive = {key for key, accesses in referred.items() if is_exclusive(accesses)}
        keys = frozenset(referred).union(*(access.grant_keys for access in known), {one.key_arn for one in taken}) - exclusive
        ownership = read_ownership(keys, self.looking, self.settings.place)
        cleaning = {access_id: set[str]() for access_id in self._told_by_registry(known, ownership)}
        cleaning |= {one.access_id: set[str]() for one in taken if self._is_unsettled(one, ownership)}
        for owned in ownership.grants:
            if owned.access_id and (owned.classed == "orphaned" or _is_undecided(owned, keys)):
                cleaning.setdefault(owned.access_id, set()).add(owned.grant.key_arn)
        unfinished = [access.unfinished for access in known if access.unfinished and not access.is_running]
        ending = [*self.registry.unanswered(datetime.now(UTC) - UNANSWERED), *unfinished]
        for access_id, on_keys in sorted(cleaning.items()):
            asked = CleanUpInput(accessId=access_id, keys=tuple(sorted(on_keys)))
            self._start(self.clean_up_machine_arn, occasion, asked.model_dump(mode="json", by_alias=True))
        today = datetime.now(UTC).date().isoformat()
        for execution_arn in ending:  # once a day, since that may take most of one
            self._start(self.end_request_machine_arn, today, {"executionArn": execution_arn})
        return Swept(
            accesses=len(known),
            keys=len(keys),
            grants=len(ownership.grants),
            unreadable=len(ownership.unreadable),
            cleaning=tuple(sorted(cleaning)),
            ending=tuple(ending),
        )

    def _told_by_registry(self, known: Iterable[KnownAccess], ownership: Ownership) -> Iterator[str]:
        """Accesses with open revocations or untold changes, and those whose resource went or reads another secret by now."""
        yield from {revocation.access_id for revocation in self.revocations.open()}
        for access in known:
            if access.untold:
                yield access.access_id
            record = access.record
            if record is None or access.is_running:
                continue
            if not has_grants(access.access_id):
                if is_exclusive([access.access_id]) and self._has_changed(record):
                    yield access.access_id
                continue
            if record.reached == "handed-off":  # its owner has yet to say that the resource is set
                continue
            subject = subject_of(access.access_id, self.settings.place)
            names = ownership.listed.get(record.system, {})
            is_there = names_secret(names.get(subject.name), record.secret_arn or "")
            state = "gone" if subject.name not in names else "there" if is_there else "detached"
            if state not in ("there", record.status):
                yield access.access_id

    def _has_changed(self, record: AccessRecord) -> bool:
        """Is the key of an exclusive access off though recorded as usable, or on again?"""
        key = find_key(self.looking.kms, record.key_arn)
        return (key is not None and key.state == "Enabled") == (record.status == "revoked")

    def _is_unsettled(self, taken: Revocation, ownership: Ownership) -> bool:
        """Does a resource send a token, whose grant Latchkey took and who may lack one, or have one that is to be noted?"""
        subject = subject_of(taken.access_id, self.settings.place)
        secret = ownership.listed.get(subject.system.name, {}).get(subject.name)
        if secret is None:
            return False
        if taken.is_listed_no_longer(datetime.now(UTC)):
            return True
        owner, on_key = subject.owner, (owned.grant for owned in ownership.grants if owned.grant.key_arn == taken.key_arn)
        arns = ((grant, grant.secret_arn or secret) for grant in on_key)
        served = any(
            names_secret(secret, arn) and serves(grant, owner.grant_name, arn, owner.resource_arn) for grant, arn in arns
        )
        return not served and not is_another_secret(taken.secret_arn, secret)

    def _start(self, machine: str, occasion: str, asked: Mapping[str, Any]) -> None:
        text = json.dumps(asked, sort_keys=True)
        name = hashlib.sha256(f"{occasion} {text}".encode()).hexdigest()[:64]
        with suppress(self.stepfunctions.exceptions.ExecutionAlreadyExists):
            self.stepfunctions.start_execution(stateMachineArn=machine, name=name, input=text)


def _is_undecided(owned: Owned, keys: frozenset[str]) -> bool:
    """Is its secret under a key that the sweep did not read? The access's own look reads that one as well."""
    moved = owned.secret.key_arn if owned.secret else None
    return owned.classed == "suspect" and moved is not None and moved not in keys
