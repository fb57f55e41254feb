"""Observes the status of a recorded access: what is true now, whoever changed it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import BeforeValidator

from latchkey.access.checks import CONFIGURED, state_of, uses_secret
from latchkey.access.desired import Desired, desire
from latchkey.access.findings import (
    Circumstances,
    Finding,
    FindingKind,
    Remains,
    attributed,
    finding,
    findings_of_access,
    findings_of_remains,
)
from latchkey.access.observed import Inventoried, ObservedAccess, Parts, read_parts, read_rest
from latchkey.access.record import AccessRecord, Status
from latchkey.access.remedy import joint_remedy, remedied, request_again
from latchkey.aws.clients import Clients
from latchkey.aws.keys import alias_target, list_aliases
from latchkey.aws.secrets import CURRENT, current_keys, find_secret
from latchkey.events.cleanup import TrailEvent
from latchkey.events.outcomes import Check
from latchkey.policies import Statement
from latchkey.registry import Registry
from latchkey.settings import Settings
from latchkey.wire import WireModel


class ObserveAccessInput(WireModel):
    """The access to observe, and the trail event that started the observation, if one did."""

    access_id: str
    hint: TrailEvent | None = None


# The checks that a version without kinds reported as findings, by the beginning of their names.
_FORMER: Final = MappingProxyType(
    {
        "key exists": FindingKind.KEY_MISSING,
        "key policy admits": FindingKind.KEY_STATEMENT_MISSING,
        "key policy names": FindingKind.KEY_POLICY_DELETED_PRINCIPAL,
        "role is": FindingKind.ROLE_REPLACED,
        "secret policy admits": FindingKind.SECRET_STATEMENT_MISSING,
        "secret policy names": FindingKind.SECRET_POLICY_DELETED_PRINCIPAL,
    }
)


def _with_kinds(findings: object) -> object:
    """The findings of an observation of an earlier version, whose execution ends in this one, with their kinds."""
    return tuple(map(_with_kind, findings)) if isinstance(findings, list) else findings


def _with_kind(one: dict[str, object]) -> Finding:
    if "kind" in one:
        return Finding.model_validate_json(json.dumps(one))
    name = str(one["name"])
    kind = next(kind for beginning, kind in _FORMER.items() if name.startswith(beginning))
    return finding(kind, str(one["evidence"]), name=name)


class Observation(WireModel):
    """The status of an access, the failed checks that explain it, and everything that is wrong with the access.

    `status` is None if no access is recorded, the access is offboarded or about to be, a request is running, or the status
    cannot be determined. `unsettled`: only a list of grants, which can lag, shows that the access is revoked. `version` is the
    version of the record when it was observed. `proposal` is the call that restores the access, if one call of its owner does.
    `causes` are the findings that explain `lost`, and `findings` all others. `remedy` are the commands that correct both.
    """

    access_id: str
    status: Status | None
    unsettled: bool = False
    version: int = 0
    lost: tuple[Check, ...] = ()
    causes: tuple[Finding, ...] = ()
    findings: Annotated[tuple[Finding, ...], BeforeValidator(_with_kinds)] = ()
    proposal: str | None = None
    remedy: tuple[str, ...] = ()


def observe_access(
    event: ObserveAccessInput,
    settings: Settings,
    registry: Registry,
    clients: Clients,
    known: Inventoried | None = None,
) -> Observation:
    """Reads everything that an access consists of, and evaluates its checks and findings.

    What an inventory contains is not read again. The caller concludes from it only that nothing is wrong.
    """
    known = known or Inventoried()
    access_id = event.access_id
    record, wanted = registry.accesses.get(access_id), registry.accesses.recorded_request(access_id)
    is_removed = registry.phases.state(access_id) in ("offboarding", "offboarded")
    if record is None or wanted is None or is_removed or registry.locks.is_locked(access_id):
        return Observation(accessId=access_id, status=None)
    desired = desire(wanted, settings, record.tenant)
    parts = read_parts(record.key_arn, record.secret_arn, clients, known)
    if parts.missing:
        seen = _see_remains(desired, record, parts, clients)
    else:
        observed = read_rest(desired, parts, None, clients, known)
        seen = _see(desired, observed, record, _circumstances(desired, observed, registry, clients, known))
    status = seen.status
    # Only a new request makes an unmanaged access active again.
    if status == "active" and registry.accesses.is_unmanaged(access_id):
        status = "unmanaged"
    # The owner of an unmanaged access can remove our statements.
    found = attributed(seen.findings, event.hint) if status != "unmanaged" else ()
    again, replacing = (request_again(wanted, settings.request_bus, record.tenant, replaces=one) for one in (False, True))
    found = remedied(found, seen.observed, again, replacing)
    causes = _causes(found, seen.lost) if status in ("revoked", "detached", "gone") or not status else ()
    only_the_grant = [check.name for check in seen.lost] == ["grant is there"]
    return Observation(
        accessId=access_id,
        status=status,
        unsettled=status == "revoked" and all(check.settles for check in seen.lost),
        version=record.version,
        lost=seen.lost,
        causes=causes,
        findings=tuple(one for one in found if one not in causes),
        proposal=f"Call {desired.system.granted[1].renewal} with the current settings: the service then creates a new grant. "
        "If it does not, send the onboarding request again."
        if only_the_grant and desired.system.granted
        else None,
        remedy=joint_remedy(found, again, replacing) if status != "gone" else (),
    )


@dataclass(frozen=True)
class _Seen:
    """What was read of an access. `observed` is None if its key or its secret does not exist."""

    status: Status | None
    lost: tuple[Check, ...]
    findings: tuple[Finding, ...]
    observed: ObservedAccess | None = None


def _see(desired: Desired, observed: ObservedAccess, record: AccessRecord, circumstances: Circumstances) -> _Seen:
    """An access whose key and secret exist."""
    # An access that was revoked before its owner confirmed it returns to the status handed-off.
    status, lost = state_of(desired, observed, handed_off=record.reached == "handed-off")
    if record.status in _ENDED and _is_removed(desired, observed):
        status = "gone"
    return _Seen(status, lost, findings_of_access(desired, observed, record, circumstances), observed)


def _see_remains(desired: Desired, record: AccessRecord, parts: Parts, clients: Clients) -> _Seen:
    """An access whose key or secret does not exist."""
    error = f"{parts.missing} does not exist"
    configuration = desired.system.configuration
    status: Status = "revoked"
    lost: tuple[Check, ...] = (Check("key and secret exist", False, error),)
    present = configuration.read(clients.client_for(configuration.service), desired.resource) if configuration else None
    remains = _remains(desired, parts, present is not None if configuration else None, clients)
    if configuration and present is None and record.reached != "handed-off":
        status, lost = "gone", (Check(CONFIGURED, False, "does not exist"),)
    elif present is not None and record.status in _ENDED and not uses_secret(present, record.secret_arn or ""):
        status, lost = "gone", (Check(CONFIGURED, False, f"{present.arn} uses another secret or none; {error}"),)
    elif (known := _USABLE.get(record.status)) and remains.moved:
        # Its owner moved the secret before the key was deleted, and the service can still read.
        status, lost = known, ()
    return _Seen(status, lost, findings_of_remains(desired, record, remains))


def _causes(found: Iterable[Finding], lost: Iterable[Check]) -> tuple[Finding, ...]:
    """The findings that explain the lost checks: those with their names or, if there are none, the critical ones."""
    findings, names = tuple(found), {check.name for check in lost}
    return tuple(one for one in findings if one.name in names) or tuple(one for one in findings if one.severity == "critical")


def _circumstances(
    desired: Desired, observed: ObservedAccess, registry: Registry, clients: Clients, known: Inventoried
) -> Circumstances:
    listed = known.key.aliases if known.key else None
    aliases = (list_aliases(clients.kms, observed.key.arn) if listed is None else listed) if desired.alias else None
    is_elsewhere = desired.alias is not None and aliases is not None and desired.alias not in aliases
    checked, secret = registry.findings.value(desired.access_id), observed.secret
    return Circumstances(
        recorded_at=registry.accesses.recorded_at(desired.access_id),
        aliases=aliases,
        alias_target=alias_target(clients.kms, desired.alias) if is_elsewhere and desired.alias else None,
        asked=tuple(_asked(desired, observed, registry)),
        # A verdict says nothing about a later version.
        value_problem=checked.problem if checked and secret and checked.version == secret.version(CURRENT) else None,
    )


def _asked(desired: Desired, observed: ObservedAccess, registry: Registry) -> Iterable[Statement]:
    """The statements that the other accesses of the secret need in its policy."""
    if observed.secret is None:
        return
    for announced in registry.requests_using(desired.secret_resource, without=desired.access_id):
        other = replace(desired, request=announced.request, tenant=announced.tenant)
        if other.secret_resource == desired.secret_resource:
            yield from other.secret_statements(observed.secret.arn)


def _remains(desired: Desired, parts: Parts, resource_exists: bool | None, clients: Clients) -> Remains:
    """What still exists of an access whose key or secret does not."""
    exists, secret = {parts.key_arn: parts.key is not None}, parts.secret
    if parts.secret_arn is None:
        return Remains(exists, resource_exists)
    named = find_secret(clients.secretsmanager, desired.secret_name) if secret is None else None
    return Remains(
        exists={**exists, parts.secret_arn: secret is not None},
        resource_exists=resource_exists,
        replacement=named.arn if named else None,
        moved=secret is not None
        and not secret.is_being_deleted
        and parts.key_arn not in current_keys(secret, clients.kms, clients.secretsmanager),
    )


# The statuses of an access whose end was reported before, so that nothing that is removed from it takes a service its secret.
_ENDED = frozenset(["revoked", "detached", "gone"])


def _is_removed(desired: Desired, observed: ObservedAccess) -> bool:
    """Whether the resource does not use the secret, and nothing could read it through this access either."""
    if observed.configured is None or observed.secret is None or uses_secret(observed.configured, observed.secret.arn):
        return False
    has_no_role = desired.role(observed.key.arn, observed.secret.arn) is not None and observed.role is None
    return observed.secret.is_being_deleted or has_no_role


# The statuses that an access keeps while its service can read.
_USABLE: dict[str, Status] = {"active": "active", "handed-off": "handed-off", "unmanaged": "unmanaged"}
