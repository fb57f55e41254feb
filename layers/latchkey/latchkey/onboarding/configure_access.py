"""Configures the consumer resource to read the secret."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from latchkey.access.desired import Desired, desire
from latchkey.access.grants import serves
from latchkey.aws.clients import Clients
from latchkey.aws.errors import ROLE_SETTLING, is_throttled, settling
from latchkey.aws.grants import list_grants
from latchkey.errors import Conflict, TransientAwsError
from latchkey.onboarding.rules.evidence import ConsentTarget, ResourceEvidence
from latchkey.onboarding.rules.read_evidence import brings_new_token, resource_evidence
from latchkey.onboarding.rules.resource import configured_problems, waits_for_token
from latchkey.onboarding.rules.tenants import is_foreign_resource
from latchkey.onboarding.step_input import StepInput
from latchkey.onboarding.step_result import StepResult
from latchkey.registry import Registry
from latchkey.registry.journal import RESOURCE, UNSEEN, RequestJournal
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.settings import Settings
from latchkey.systems.system import Configuration, Configured, CreatingConfiguration, GrantedConfiguration, Reading

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient


# As many attempts as botocore makes in standard mode.
_UPDATE_ATTEMPTS = 3

__all__ = ["ConfigureAccessInput", "StepResult", "configure_access"]


class ConfigureAccessInput(StepInput):
    """The request, its key, and the ARN of its secret; `confirms` means that those who need the token have it."""

    key: StepResult
    secret_arn: str
    confirms: bool = False


def configure_access(event: ConfigureAccessInput, settings: Settings, registry: Registry, clients: Clients) -> StepResult:
    """Creates or updates the resource, unless it already reads the secret and its service holds the grant on this key.

    The former settings are recorded before the call, so that a rollback can restore them. An update replaces all settings, so
    the last read comes immediately before it. If the resource has changed since consent and settings were checked, nothing is
    written. TransientAwsError is raised, and the retry decides again.
    """
    results = [_configure(event, desire(request, settings, event.tenant), registry, clients) for request in event.requests]
    # The last one is that of the request.
    return StepResult(arn=results[-1].arn, changed=any(result.changed for result in results))


def _configure(event: ConfigureAccessInput, desired: Desired, registry: Registry, clients: Clients) -> StepResult:
    """Configures the resource of one access."""
    key, secret_arn = event.key, event.secret_arn
    configuration, resource = desired.system.configuration, desired.resource
    if configuration is None:
        raise Conflict(f"no API configures the resources of {desired.system.name}")
    client, reading = clients.client_for(configuration.service), desired.reading(key.arn, secret_arn)
    present = configuration.read(client, resource)
    evidence = _require_approval(desired, configuration, present, secret_arn, registry, client)
    record, is_new = registry.accesses.get(desired.access_id), brings_new_token(desired, registry)
    if not event.confirms and waits_for_token(desired, present, secret_arn, record, brings_new_token=is_new):
        rule = "serves without a token since the request was checked, and nobody can have the new one yet"
        raise Conflict(f"the resource of {desired.access_id} {rule}: send the request again")
    as_wanted = present is not None and present.settings == configuration.wanted(resource, reading)
    arn = present.arn if present else resource.arn(desired.place) or desired.access_id
    journal = registry.journal_of(event.execution_arn, desired.access_id, event.tenant)
    if as_wanted and _is_granted(desired, key.arn, secret_arn, arn, clients.kms):
        if present is not None and (record is None or record.reached == "handed-off"):
            # An offboarding restores what the resource had before its first onboarding: the same settings.
            _note_change(desired, reading, present, journal)
            journal.complete(RESOURCE, present.full_settings)
        return StepResult(arn=arn, changed=False)
    _note_change(desired, reading, present, journal)
    if desired.grant_name:
        registry.granted.note(desired.access_id, key.arn)
    registry.resources.note_configured(desired.secret_resource, arn)
    if present is None:
        # The reference proves that the resource is ours; its tags alone do not, because anybody can set them.
        registry.refer(arn, journal)
    role_since = _role_since(desired, reading, clients.iam, registry)
    of_role, denials = configuration.role_not_ready_errors, configuration.denial_statuses
    with settling(role_since, ROLE_SETTLING, of_role) if role_since else settling(key.settles_from, denials=denials):
        if present is not None:
            _update(desired, configuration, reading, present, evidence.consent_target, clients)
        elif not isinstance(configuration, CreatingConfiguration):
            raise Conflict(f"the resource of {desired.access_id} was deleted after the request was checked: create it again")
        elif not configuration.create(client, resource, reading, desired.tags()):
            raise TransientAwsError(f"{arn} already exists: an earlier attempt or another caller created it")
    if present is not None and as_wanted:
        granted = partial(_is_granted, desired, key.arn, secret_arn, arn, clients.kms)
        _renew_by_change(desired, configuration, present, clients, granted)
    left = configuration.read(client, resource)
    if left is not None or present is None:
        journal.complete(RESOURCE, left.full_settings if left else UNSEEN)
    return StepResult(arn=arn, changed=True)


def _update(
    desired: Desired,
    configuration: Configuration,
    reading: Reading,
    present: Configured,
    target: ConsentTarget | None,
    clients: Clients,
) -> None:
    """Updates a resource if neither it nor the tags of `target` have changed since the step decided.

    No other call is made between these reads and the update. botocore would repeat a throttled update with settings that can be
    outdated, so each attempt reads the resource again.
    """
    client, updating = clients.client_for(configuration.service), clients.updating(configuration.service)
    for attempt in range(1, _UPDATE_ATTEMPTS + 1):
        # The tags last: an owner withdraws consent with them, and a part of a flow has none of its own.
        is_same = configuration.is_unchanged(configuration.read(client, desired.resource), present)
        if not is_same or (target is not None and _consent_target(configuration, client, present) != target):
            raise TransientAwsError(f"{present.arn} changed after this request read it")
        try:
            return configuration.update(updating, desired.resource, reading, present)
        except ClientError as error:
            if attempt == _UPDATE_ATTEMPTS or not is_throttled(error):
                raise
            time.sleep(secrets.randbelow(1000 * attempt) / 1000 + 0.5)
    return None


def _renew_by_change(
    desired: Desired,
    configuration: Configuration,
    present: Configured,
    clients: Clients,
    is_granted: Callable[[], bool],
) -> None:
    """Alters the settings of a resource that an update left without its grant, and sets them back.

    It is not documented whether an update with unchanged settings creates a missing grant. The altered settings mean the same,
    so nothing depends on whether the grant is only not listed yet.
    """
    altered = configuration.altered(present.full_settings) if isinstance(configuration, GrantedConfiguration) else None
    if altered is None or is_granted():
        return
    client, updating = clients.client_for(configuration.service), clients.updating(configuration.service)
    for before, after in ((present.full_settings, altered), (altered, present.full_settings)):
        latest = configuration.read(client, desired.resource)
        if latest is None or not configuration.is_same(latest.full_settings, before):
            raise TransientAwsError(f"{present.arn} changed after this request read it")
        configuration.restore(updating, after)


def _consent_target(configuration: Configuration, client: Any, present: Configured) -> ConsentTarget:
    return ConsentTarget(*configuration.consent_target(client, present))


def _require_approval(
    desired: Desired,
    configuration: Configuration,
    present: Configured | None,
    secret_arn: str,
    registry: Registry,
    client: Any,
) -> ResourceEvidence:
    """The evidence about the resource. Raises Conflict if it no longer satisfies a rule that it satisfied in check_request."""
    record = registry.accesses.get(desired.access_id)
    evidence = resource_evidence(desired, present, secret_arn, record, registry, client)
    if is_foreign_resource(desired, evidence, record):
        raise Conflict(f"the resource of {desired.access_id} is {NOT_ALLOWED}")
    broken = [problem.rule for problem in configured_problems(desired, configuration, evidence, secret_arn, record)]
    if broken:
        raise Conflict(f"the resource of {desired.access_id} changed after the request was checked: {'; '.join(broken)}")
    return evidence


def _note_change(desired: Desired, reading: Reading, present: Configured | None, journal: RequestJournal) -> None:
    """Records the settings that this request is about to change.

    Settings that an earlier attempt of this request left do not count as found; any others do, because somebody else set them.
    """
    configuration = desired.system.configuration
    if configuration is None:
        return
    wanted, noted = configuration.wanted(desired.resource, reading), journal.entry(RESOURCE)
    as_left = noted is not None and present is not None and present.settings == noted.wanted
    journal.intend(RESOURCE, wanted, found=present.full_settings if present else None, anew=not as_left)


def _is_granted(desired: Desired, key_arn: str, secret_arn: str, resource_arn: str, kms: KMSClient) -> bool:
    """Whether the service holds the grant that it needs; true if it needs none."""
    expected = desired.grant_for(secret_arn, resource_arn)
    return expected is None or any(serves(grant, expected) for grant in list_grants(kms, key_arn).grants)


def _role_since(desired: Desired, reading: Reading, iam: IAMClient, registry: Registry) -> datetime | None:
    """The time of the last change to the reader role, or None if the service assumes no role."""
    if reading.role_arn is None:
        return None
    created = iam.get_role(RoleName=reading.role_arn.rsplit("/", 1)[1])["Role"]["CreateDate"]
    return max(created, registry.accesses.role_changed(desired.access_id) or created)
