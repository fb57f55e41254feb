"""Requests that began under an earlier version, which kept no journal: their changes are derived from what they left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from latchkey import policies
from latchkey.access.desired import Desired, desire
from latchkey.aws.keys import ObservedKey, find_key, find_key_by_tags
from latchkey.aws.roles import find_role
from latchkey.aws.secrets import ObservedSecret, find_secret
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.registry.former_notes import FORMER_NOTES
from latchkey.registry.journal import (
    KEY,
    RECORD,
    REQUEST,
    RESOURCE,
    ROLE,
    SECRET,
    key_policy_step,
    reference_step,
    secret_policy_step,
)
from latchkey.requests.parsing import parse_onboarding


def expand_former_notes(rollback: Rollback, *, confirms: bool) -> None:
    """Writes the journal of a request that began under an earlier version. A second call has no effect."""
    desired, journal, registry = rollback.desired, rollback.journal, rollback.registry
    registry.move_former_notes(desired.access_id, desired.tenant)
    noted = journal.entry(FORMER_NOTES)
    began_here = journal.entry(REQUEST) is not None
    if noted is None and (began_here or registry.locks.holder(desired.access_id) != journal.execution_arn):
        return
    if noted is not None and noted.state != "open":
        return
    notes: dict[str, Any] = noted.found if noted else {}
    if "previous" in notes:
        journal.intend(RECORD, {"confirms": confirms}, found=notes["previous"])
    if not confirms:  # a confirmation changed nothing but the record
        _derive_changes(rollback, notes)
    journal.intend(REQUEST, None)
    if noted is not None:
        journal.finish(FORMER_NOTES)


def _derive_changes(rollback: Rollback, notes: dict[str, Any]) -> None:
    desired, journal = rollback.desired, rollback.journal
    key = _find_key(rollback)
    secret = None
    if key is not None:
        _refer(rollback, key.arn)
        statements = [*desired.known_key_statements]
        if desired.made(key.tags):
            journal.intend(KEY, {"alias": desired.alias, "statements": statements})
            journal.complete(KEY, {"arn": key.arn})
        else:
            record, before = _before(rollback, notes)
            present = before.known_key_statements if before and record.get("keyArn") == key.arn else ()
            added = policies.beyond(policies.new_document(statements), present)
            journal.intend(key_policy_step(key.arn), {"arn": key.arn, "added": added})
    if desired.reads_secret:
        _refer(rollback, desired.secret_resource)
        secret = find_secret(rollback.clients.secretsmanager, rollback.desired.secret_id)
        if secret is not None:
            _derive_secret(rollback, secret)
        _derive_role(rollback, key, secret, notes)
    if "former" in notes and desired.system.configuration is not None:
        reading = desired.reading(key.arn if key else "", secret.arn if secret else "")
        journal.intend(RESOURCE, desired.system.configuration.wanted(desired.resource, reading), found=notes["former"])


def _derive_secret(rollback: Rollback, secret: ObservedSecret) -> None:
    desired, journal = rollback.desired, rollback.journal
    if desired.made(secret.tags) and not desired.existing_secret_arn:
        journal.intend(SECRET, {"name": secret.name})
        journal.complete(SECRET, {"arn": secret.arn})
    else:
        added = [*desired.secret_statements(secret.arn)]
        journal.intend(secret_policy_step(secret.arn), {"arn": secret.arn, "added": added})


def _derive_role(rollback: Rollback, key: ObservedKey | None, secret: ObservedSecret | None, notes: dict[str, Any]) -> None:
    desired, journal = rollback.desired, rollback.journal
    wanted = desired.role(key.arn if key else "", secret.arn if secret else "")
    if wanted is None:
        return
    _refer(rollback, wanted.arn(desired.place))
    role = find_role(rollback.clients.iam, wanted.name)
    if role is None:
        return
    change = {"name": wanted.name, "trust": wanted.trust, "policy": wanted.policy}
    record, before = _before(rollback, notes)
    former = before.role(record.get("keyArn", ""), record.get("secretArn", "")) if before else None
    if desired.made(role.tags):
        journal.intend(ROLE, change)
    elif former is not None:
        journal.intend(ROLE, change, found={"trust": former.trust, "policy": former.policy})


def _before(rollback: Rollback, notes: dict[str, Any]) -> tuple[Mapping[str, str], Desired | None]:
    """The record before the request and the request that it fulfilled, or None."""
    record = notes.get("previous", rollback.registry.accesses.snapshot(rollback.access_id))
    wanted = record.get("wanted")
    tenant = rollback.desired.tenant
    return record, desire(parse_onboarding(json.loads(wanted)), rollback.settings, tenant) if wanted else None


def _find_key(rollback: Rollback) -> ObservedKey | None:
    """The key of the request, even if its alias or the response of CreateKey is missing after a crash."""
    desired, alias, kms = rollback.desired, rollback.desired.alias, rollback.clients.kms
    noted = rollback.registry.resources.noted_key(alias) if alias else None
    found = find_key(kms, desired.request.key.arn or alias or "")
    if found is not None or noted is None:
        return found
    if noted.arn:
        return find_key(kms, noted.arn)
    # A key without an ARN is found by its tag, and only by the request that started to create it.
    if noted.request_id != desired.request.request_id:
        return None
    return find_key_by_tags(kms, desired.made, noted.started)


def _refer(rollback: Rollback, resource: str) -> None:
    rollback.journal.intend(reference_step(resource), {"resource": resource})
