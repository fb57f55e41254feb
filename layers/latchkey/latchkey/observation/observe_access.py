"""Observes the status of a recorded access: what is true now, whoever changed it."""

from __future__ import annotations

from datetime import datetime

from latchkey.access.checks import CONFIGURED, is_moved, state_of, uses_secret
from latchkey.access.desired import Desired, desire
from latchkey.access.observed import ObservedAccess, read_access
from latchkey.access.principals import Standing, findings_of
from latchkey.access.record import AccessRecord, Status
from latchkey.access.remedy import repairs, request_again
from latchkey.aws.clients import Clients
from latchkey.aws.secrets import current_keys, find_secret
from latchkey.errors import AccessNotEffective
from latchkey.events.outcomes import Check
from latchkey.policies import new_document
from latchkey.registry import Registry
from latchkey.settings import Settings
from latchkey.wire import WireModel


class ObserveAccessInput(WireModel):
    """The access to observe."""

    access_id: str


class Observation(WireModel):
    """The status of an access, and the failed checks that explain it.

    `status` is None if no access is recorded, the access is offboarded or about to be, a request is running, or the status
    cannot be determined. `unsettled`: only a
    list of grants, which can lag, shows that the access is revoked. `version` is the version of the record when it was
    observed. `proposal` is the call that restores the access, if one call of its owner does. `findings` are failed checks of
    principals other than the service, which can still read. `remedy` are the commands that repair both.
    """

    access_id: str
    status: Status | None
    unsettled: bool = False
    version: int = 0
    lost: tuple[Check, ...] = ()
    findings: tuple[Check, ...] = ()
    proposal: str | None = None
    remedy: tuple[str, ...] = ()


def observe_access(
    access_id: str,
    settings: Settings,
    registry: Registry,
    clients: Clients,
) -> Observation:
    """Reads everything that an access consists of, and evaluates its checks."""
    record, wanted = registry.accesses.get(access_id), registry.accesses.recorded_request(access_id)
    is_removed = registry.phases.state(access_id) in ("offboarding", "offboarded")
    if record is None or wanted is None or is_removed or registry.locks.is_locked(access_id):
        return Observation(accessId=access_id, status=None)
    desired = desire(wanted, settings, record.tenant)
    configuration = desired.system.configuration
    # An access that was revoked before its owner confirmed it returns to the status handed-off.
    handed_off = record.reached == "handed-off"
    status: Status | None
    lost: tuple[Check, ...]
    findings: tuple[Check, ...] = ()
    observed = None
    try:
        observed = read_access(desired, record.key_arn, record.secret_arn, None, clients)
    except AccessNotEffective as error:
        status, lost = "revoked", (Check("key and secret exist", False, str(error)),)
        present = configuration.read(clients.client_for(configuration.service), desired.resource) if configuration else None
        if configuration and present is None and not handed_off:
            status, lost = "gone", (Check(CONFIGURED, False, "does not exist"),)
        elif present is not None and record.status in _ENDED and not uses_secret(present, record.secret_arn or ""):
            status, lost = "gone", (Check(CONFIGURED, False, f"{present.arn} uses another secret or none; {error}"),)
        elif (known := _USABLE.get(record.status)) and _is_under_another_key(record, clients):
            # Its owner moved the secret before the key was deleted, and the service can still read.
            status, lost, findings = known, (), (Check("key exists", False, str(error), finding=True),)
    else:
        status, lost = state_of(desired, observed, handed_off=handed_off)
        if record.status in _ENDED and _is_removed(desired, observed):
            status = "gone"
        if status not in ("gone", "detached"):
            findings = findings_of(desired, record.secret_arn, _standing(observed, registry.accesses.recorded_at(access_id)))
    # Only a new request makes an unmanaged access active again.
    if status == "active" and registry.accesses.is_unmanaged(access_id):
        status = "unmanaged"
    if status == "unmanaged":  # its owner can remove our statements
        findings = ()
    failed = [check.name for check in (*lost, *findings)] if status != "gone" else []
    again = request_again(wanted, settings.request_bus, record.tenant, replaces=status == "detached")
    only_the_grant = [check.name for check in lost] == ["grant is there"]
    return Observation(
        accessId=access_id,
        status=status,
        unsettled=status == "revoked" and all(check.settles for check in lost),
        version=record.version,
        lost=lost,
        findings=findings,
        proposal=f"Call {desired.system.granted[1].renewal} with the current settings: the service then creates a new grant. "
        "If it does not, send the onboarding request again."
        if only_the_grant and desired.system.granted
        else None,
        remedy=repairs(failed, observed, again),
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


def _is_under_another_key(record: AccessRecord, clients: Clients) -> bool:
    """Whether the secret exists, and the key of the access encrypts no current version of it."""
    secret = find_secret(clients.secretsmanager, record.secret_arn) if record.secret_arn else None
    if secret is None or secret.is_being_deleted:
        return False
    return record.key_arn not in current_keys(secret, clients.kms, clients.secretsmanager)


def _standing(observed: ObservedAccess, recorded_at: datetime | None) -> Standing:
    role_created = observed.role.created if observed.role else None
    is_read = observed.secret is not None and not observed.secret.is_being_deleted
    secret_policy = (observed.secret_policy or new_document(())) if is_read else None
    return Standing(observed.key_policy, secret_policy, is_moved(observed), role_created, recorded_at)
