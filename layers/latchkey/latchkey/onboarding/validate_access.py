"""Validates a finished access: reads everything it consists of, and runs every check."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from latchkey.access.checks import check_access, confirmed_by, state_of, uses_secret
from latchkey.access.desired import Desired
from latchkey.access.findings import Circumstances, findings_of_access, unresolved
from latchkey.access.grants import serves
from latchkey.access.observed import ObservedAccess, read_access
from latchkey.access.record import AccessRecord
from latchkey.aws.clients import Clients
from latchkey.errors import AccessNotEffective, NotYetEffective, PolicyOverwritten, Problem
from latchkey.events.findings import Repair
from latchkey.events.outcomes import Check, Resources
from latchkey.onboarding.staged_handoff import staged_handoff
from latchkey.onboarding.step_input import StepInput
from latchkey.registry import Registry
from latchkey.settings import Settings
from latchkey.systems.system import Handoff, Reading
from latchkey.wire import WireModel


class ValidateAccessInput(StepInput):
    """The request and the ARNs of its key and secret; `confirms` means that the request is a confirmation.

    `staged`: a confirmation configures the resource later. `configured` is false if this execution configures it next.
    """

    key_arn: str
    secret_arn: str | None
    confirms: bool = False
    staged: bool = False
    configured: bool = True


class Validated(WireModel):
    """The passed checks, the resources of the access, and the hand-off to the owner if there is one.

    Some checks of a repair can have failed, for reasons that it does not correct. The access can then stay `revoked`.
    """

    detail_type: Literal["Access Onboarded", "Access Handed Off"]
    status: Literal["active", "handed-off", "revoked"]
    checks: tuple[Check, ...]
    resources: Resources
    handoff: Handoff | None = None
    effect_delay_seconds: int | None = None
    warnings: tuple[Problem, ...] = ()


def validate_access(
    event: ValidateAccessInput,
    settings: Settings,
    registry: Registry,
    clients: Clients,
) -> Validated:
    """Returns the passed checks, or raises with the failed ones.

    The error says what can help: PolicyOverwritten (attach the policies again), NotYetEffective (wait) or AccessNotEffective
    (neither). The resource of a hand-off is not checked until its owner confirms it.
    """
    if event.repair is not None:
        return _validate_repair(event, event.repair, event.desired(settings)[-1], registry, clients)
    results = [_check(event, desired, registry, clients) for desired in event.desired(settings)]
    _require_passed(results)
    # The last one is that of the request.
    desired, former, observed, checks = results[-1]
    key_arn, secret_arn, hands_off = event.key_arn, event.secret_arn, _hands_off(event, desired)
    was_active = former is not None and former.reached == "active"
    is_same = former is not None and (former.key_arn, former.secret_arn) == (key_arn, secret_arn)
    stays_active = was_active and is_same and all(check.passed for check in check_access(desired, observed))
    reading = desired.reading(key_arn, secret_arn) if secret_arn else None
    return Validated(
        detailType="Access Handed Off" if hands_off else "Access Onboarded",
        status="handed-off" if hands_off and not stays_active else "active",
        checks=checks,
        resources=_resources(desired, observed, key_arn, reading),
        handoff=_handoff(desired, reading, observed, staged=event.staged) if hands_off else None,
        effectDelaySeconds=desired.system.effect_delay_seconds,
        warnings=tuple(Problem(f"resource.{member}", rule) for member, rule in desired.resource.warnings.items()),
    )


def _validate_repair(
    event: ValidateAccessInput, repair: Repair, desired: Desired, registry: Registry, clients: Clients
) -> Validated:
    """Validates a repaired access: what a repair corrects is right, and everything else is at least as it was before.

    A repair confirms nothing and hands nothing off, so the access keeps what its last request has reached.
    """
    record = registry.accesses.get(desired.access_id)
    if record is None:
        raise AccessNotEffective(f"the record of {desired.access_id} was removed during this repair")
    observed = read_access(desired, event.key_arn, event.secret_arn, record.key_arn, clients)
    handed_off = record.reached == "handed-off" or not event.configured
    judged = replace(record, reached="handed-off") if handed_off else record
    found = findings_of_access(desired, observed, judged, Circumstances())
    status, _ = state_of(desired, observed, handed_off=handed_off)
    checks = check_access(desired, observed, handed_off=handed_off)
    _require_resolved([(desired.access_id, check) for check in unresolved(checks, found, repair.remaining)])
    reading = desired.reading(event.key_arn, event.secret_arn) if event.secret_arn else None
    return Validated(
        detailType="Access Onboarded",
        status=_status(status or record.status),
        checks=checks,
        resources=_resources(desired, observed, event.key_arn, reading),
        effectDelaySeconds=desired.system.effect_delay_seconds,
    )


def _status(status: str) -> Literal["active", "handed-off", "revoked"]:
    if status == "active":
        return "active"
    return "handed-off" if status == "handed-off" else "revoked"


class _Checked(NamedTuple):
    """One access, its former record, what was read of it, and its checks."""

    desired: Desired
    former: AccessRecord | None
    observed: ObservedAccess
    checks: tuple[Check, ...]


def _check(event: ValidateAccessInput, desired: Desired, registry: Registry, clients: Clients) -> _Checked:
    former = registry.accesses.get(desired.access_id)
    former_key_arn = former.key_arn if former else None
    observed = read_access(desired, event.key_arn, event.secret_arn, former_key_arn, clients)
    checks = check_access(desired, observed, handed_off=_hands_off(event, desired))
    if event.confirms and desired.system.configuration is None:
        checks = (*checks, confirmed_by(desired))
    return _Checked(desired, former, observed, checks)


def _hands_off(event: ValidateAccessInput, desired: Desired) -> bool:
    return event.staged or not event.configured or (desired.hands_off and not event.confirms)


def _require_passed(results: Sequence[_Checked]) -> None:
    """Raises if a check of an access failed."""
    failed = [(one.desired.access_id, check) for one in results for check in one.checks if not check.passed]
    _require_resolved(failed, several=len(results) > 1)


def _require_resolved(failed: Sequence[tuple[str, Check]], *, several: bool = False) -> None:
    """Raises if there is a failed check. The name of its access is given only if there are several."""
    if not failed:
        return
    named = [{"access": access_id} if several else {} for access_id, _ in failed]
    texts = [{"check": check.name, "evidence": check.evidence} | name for name, (_, check) in zip(named, failed, strict=True)]
    message = json.dumps({"failed": texts})
    if any(check.overwritten for _, check in failed):
        raise PolicyOverwritten(message)
    raise NotYetEffective(message) if all(check.settles for _, check in failed) else AccessNotEffective(message)


def _handoff(desired: Desired, reading: Reading | None, observed: ObservedAccess, *, staged: bool) -> Handoff:
    if staged and reading is not None:
        found = observed.configured
        public, is_configured = (found.public_statements, uses_secret(found, reading.secret_arn)) if found else ((), False)
        return staged_handoff(desired, reading, observed.key.arn, public, is_configured=is_configured)
    return desired.system.handoff(desired.resource, reading, observed.key.arn, desired.place)


def _resources(desired: Desired, observed: ObservedAccess, key_arn: str, reading: Reading | None) -> Resources:
    resource_arn = desired.resource.arn(desired.place) or (observed.configured.arn if observed.configured else None)
    expected = desired.grant_for(reading.secret_arn, resource_arn) if reading and resource_arn else None
    serving = (grant.grant_id for grant in observed.grants if expected and serves(grant, expected))
    return Resources(
        keyArn=key_arn,
        secretArn=reading.secret_arn if reading else None,
        roleArn=reading.role_arn if reading else None,
        resourceArn=resource_arn,
        grantId=next(serving, None),
    )
