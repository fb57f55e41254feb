"""Reads the evidence for the rules: nothing is changed, and nothing is read that a rule has already excluded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from latchkey.access.bounds import Bounds, is_in_account, principal_rule
from latchkey.access.desired import Desired
from latchkey.access.hosts import configured_hosts
from latchkey.access.record import AccessRecord
from latchkey.aws.clients import Clients, regions
from latchkey.aws.errors import is_denied_by_resource, is_missing, is_refused
from latchkey.aws.grants import list_grants
from latchkey.aws.keys import ObservedKey, find_key, key_policy, rotation_days
from latchkey.aws.roles import denied_actions, find_role, refused_actions
from latchkey.aws.secrets import ObservedSecret, all_secret_policies, find_secret, secret_policy
from latchkey.onboarding.rules import key as key_rules
from latchkey.onboarding.rules import secret as secret_rules
from latchkey.onboarding.rules.consent import is_approved_key, needs_resource_consent
from latchkey.onboarding.rules.evidence import (
    ConsentEvidence,
    ConsentTarget,
    FormerSecretEvidence,
    KeyEvidence,
    PrincipalEvidence,
    RequestEvidence,
    ResourceEvidence,
    RoleEvidence,
    SecretEvidence,
    SourceEvidence,
)
from latchkey.onboarding.rules.other_secrets import is_local
from latchkey.onboarding.rules.principals import USERS_PATH
from latchkey.onboarding.rules.resource import is_configured_by_api
from latchkey.registry import Registry
from latchkey.settings import Settings
from latchkey.systems.system import Configured
from latchkey.tags import MANAGED_BY, OURS, is_ours_or_consented

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

# What a user of a key calls.
_USE = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey")


@dataclass(frozen=True)
class EvidenceReader:
    """Reads what the rules need, from the registry and from AWS; each thing once per request."""

    bounds: Bounds
    registry: Registry
    clients: Clients
    secretsmanager_in: Callable[[str], SecretsManagerClient]

    @property
    def settings(self) -> Settings:
        return self.bounds.settings

    def read_request(self, desired: Desired) -> RequestEvidence:
        """The evidence for one request."""
        accesses = self.registry.accesses
        record = accesses.get(desired.access_id)
        found, hidden_secret = self._find_secret(desired)
        principals = self._principals(desired)
        recorded = accesses.recorded_request(desired.access_id) if record else None
        handoff = accesses.to_confirm(desired.access_id)
        pending = handoff if handoff and handoff.is_pending else None
        role = self._role(desired)
        key = self._key(desired, record)
        copies = found is not None and desired.request.secret.value.copy_from is not None
        configured = self._configured(desired) if is_configured_by_api(desired) or copies else None
        secret = self._secret(desired, found, key, configured) if found else None
        return RequestEvidence(
            record=record,
            recorded_request=recorded,
            pending=pending.record if pending else None,
            pending_request=pending.request if pending else None,
            principals=principals,
            role=role,
            key=key,
            secret=secret,
            hidden_secret=hidden_secret or (found is not None and secret is None),
            source=self._source(desired),
            resource=self._resource(desired, record, found, configured),
            other_secrets={arn: self._former_secret(arn) for arn in _other_secrets(desired)},
        )

    def read_consent(self, record: AccessRecord) -> ConsentEvidence:
        """The key and secret that an access is recorded with, and the policies of those that lost their consent."""
        secretsmanager = self.clients.secretsmanager
        found_key = find_key(self.clients.kms, record.key_arn)
        # A secret that cannot be read proves nothing about consent.
        found_secret = readable(lambda: find_secret(secretsmanager, record.secret_arn or "")) if record.secret_arn else None
        key_lost = found_key is not None and not is_ours_or_consented(found_key.tags, self.settings.stack)
        secret_lost = found_secret is not None and not is_ours_or_consented(found_secret.tags, self.settings.stack)
        return ConsentEvidence(
            key=found_key,
            key_policy=key_policy(self.clients.kms, record.key_arn) if key_lost else None,
            secret=found_secret,
            secret_policy=secret_policy(secretsmanager, found_secret.arn) if found_secret and secret_lost else None,
        )

    def read_handoff(self, desired: Desired, record: AccessRecord) -> RequestEvidence:
        """The evidence about the host and the resource of a hand-off that is confirmed; `record` is its record."""
        accesses, resources, access_id = self.registry.accesses, self.registry.resources, desired.access_id
        found = find_secret(self.clients.secretsmanager, record.secret_arn) if record.secret_arn else None
        source, configuration = desired.request.secret.value.copy_from, desired.system.configuration
        client = self.clients.client_for(configuration.service) if configuration else None
        configured, recorded = self._configured(desired), accesses.get(access_id)
        return RequestEvidence(
            record=recorded,
            recorded_request=accesses.recorded_request(access_id),
            secret=SecretEvidence(
                secret=found,
                referred=resources.is_referred(desired.secret_resource, access_id),
                origin_hosts=self.registry.origin_hosts(found.arn, access_id),
                copied_from=resources.copied_from(desired.secret_resource),
            )
            if found
            else None,
            source=SourceEvidence(True, origin_hosts=self.registry.origin_hosts(source.secret_arn, access_id))
            if source
            else None,
            resource=resource_evidence(desired, configured, record.secret_arn, recorded, self.registry, client),
        )

    def _principals(self, desired: Desired) -> dict[str, PrincipalEvidence]:
        """The principals of this account that the stack allows: of other accounts IAM returns nothing."""
        named = {arn for arns in desired.request.principals.values() for arn in arns}
        allowed = [arn for arn in sorted(named) if not principal_rule(arn, self.bounds)]
        return {arn: self._principal(desired, arn) for arn in allowed if is_in_account(arn, self.settings)}

    def _principal(self, desired: Desired, arn: str) -> PrincipalEvidence:
        iam = self.clients.iam
        kind, _, path = arn.split(":", 5)[5].partition("/")
        name = path.rsplit("/", 1)[-1]
        try:
            found = iam.get_role(RoleName=name)["Role"] if kind == "role" else iam.get_user(UserName=name)["User"]
        except ClientError as error:
            if is_missing(error):
                return PrincipalEvidence(None)
            raise
        # The key policy alone does not let a user of the key use it if its own policies or its boundary deny that.
        simulated = found["Arn"] == arn and desired.system.key_is_exclusive and arn in desired.request.principals[USERS_PATH]
        return PrincipalEvidence(found["Arn"], tuple(denied_actions(self.clients.iam, arn, _USE, "*")) if simulated else ())

    def _role(self, desired: Desired) -> RoleEvidence | None:
        wanted = desired.role("", "")
        found = find_role(self.clients.iam, wanted.name) if wanted else None
        return RoleEvidence(found, self.registry.resources.is_referred(found.arn, desired.access_id)) if found else None

    def _key(self, desired: Desired, record: AccessRecord | None) -> KeyEvidence:
        found = None
        try:
            if key_rules.is_here(desired):
                found = find_key(self.clients.kms, desired.request.key.arn or desired.alias or "")
            if found is not None:
                return self._key_details(desired, found, record)
        except ClientError as error:
            if not is_refused(error):
                raise
            recorded = found is not None and self.registry.resources.is_recorded_key(found.arn, desired.alias)
            return KeyEvidence(key=found, recorded=recorded, hidden=True)
        is_new = desired.request.key.arn is None and desired.system.key_is_exclusive and record is None
        is_new = is_new and not any(key_rules.alias_problems(desired))
        return KeyEvidence(refused_creation=self._refused_creation(desired) if is_new else ())

    def _key_details(self, desired: Desired, found: ObservedKey, record: AccessRecord | None) -> KeyEvidence:
        recorded = self.registry.resources.is_recorded_key(found.arn, desired.alias)
        is_excluded = any(key_rules.alias_problems(desired))
        if is_excluded or not found.customer_managed or not is_approved_key(found, desired.stack, recorded=recorded):
            return KeyEvidence(key=found, recorded=recorded)
        policy = key_policy(self.clients.kms, found.arn)
        others = self.registry.resources.others(found.arn, desired.access_id)
        counted = key_rules.needs_grant_count(desired, found, others, record)
        return KeyEvidence(
            key=found,
            recorded=recorded,
            policy=policy,
            other_accesses=others,
            grant_count=len(list_grants(self.clients.kms, found.arn).grants) if counted else None,
            rotation_days=rotation_days(self.clients.kms, found.arn) if desired.request.key.wanted_rotation_days else None,
        )

    def _refused_creation(self, desired: Desired) -> tuple[str, ...]:
        """What the role of create_key cannot call, so that a key for a partner is refused before it is half created."""
        role = self.settings.create_key_role_arn
        requested = {f"aws:RequestTag/{MANAGED_BY}": OURS}
        tagged = {f"aws:ResourceTag/{MANAGED_BY}": OURS}
        any_key = desired.place.arn("kms", "key/00000000-0000-0000-0000-000000000000")
        later_calls = ("kms:CreateAlias", "kms:DescribeKey", "kms:EnableKeyRotation")
        return (
            *refused_actions(self.clients.iam, role, ("kms:CreateKey", "kms:TagResource"), "*", requested),
            *refused_actions(self.clients.iam, role, later_calls, any_key, tagged),
        )

    def _find_secret(self, desired: Desired) -> tuple[ObservedSecret | None, bool]:
        """The secret of the request, and whether AWS denies reading it."""
        if not desired.reads_secret or not secret_rules.is_here(desired):
            return None, False
        identifier = desired.secret_id
        try:
            return find_secret(self.clients.secretsmanager, identifier), False
        except ClientError as error:
            if not _is_hidden(desired, error):
                raise
            return None, True

    def _secret(
        self, desired: Desired, found: ObservedSecret, key: KeyEvidence, configured: Configured | None
    ) -> SecretEvidence | None:
        """The evidence about the secret, or None if AWS denies reading its policy."""
        resources, secretsmanager = self.registry.resources, self.clients.secretsmanager
        policy = every_policy = None
        if not found.is_being_deleted:
            try:
                policy = secret_policy(secretsmanager, found.arn)
                every_policy = all_secret_policies(secretsmanager, found.arn)
            except ClientError as error:
                if not _is_hidden(desired, error):
                    raise
                return None
        own = self._key_of(found, key)
        return SecretEvidence(
            secret=found,
            key_arn=own.arn if own else found.kms_key_id,
            key=own,
            policy=policy,
            every_policy=every_policy,
            referred=resources.is_referred(desired.secret_resource, desired.access_id),
            other_accesses=resources.others(desired.secret_resource, desired.access_id),
            origin_hosts=self.registry.origin_hosts(found.arn, desired.access_id),
            never_configured=resources.was_never_configured(desired.secret_resource),
            present_hosts=self._present_hosts(desired, found, configured),
            copied_from=resources.copied_from(desired.secret_resource),
        )

    def _present_hosts(self, desired: Desired, found: ObservedSecret, configured: Configured | None) -> frozenset[str]:
        """The hosts that would receive a value as soon as it is copied into the secret, or after a hand-off is carried out."""
        if desired.request.secret.value.copy_from is None:
            return frozenset()
        accesses, access_id = self.registry.accesses, desired.access_id
        record, recorded = accesses.get(access_id), accesses.recorded_request(access_id)
        handed_off = accesses.to_confirm(access_id)
        requests = [recorded] if record and recorded and record.secret_arn == found.arn else []
        requests += [handed_off.request] if handed_off and handed_off.record.secret_arn == found.arn else []
        known = {host for request in requests if (host := request.resource.origin_host)}
        return self.registry.origin_hosts(found.arn, access_id) | known | configured_hosts(configured, found.name)

    def _key_of(self, found: ObservedSecret, key: KeyEvidence) -> ObservedKey | None:
        """The key of a secret, which Secrets Manager returns as it was associated: by ARN, id or alias.

        None for the default key, and for a key that KMS does not let Latchkey read.
        """
        key_id = found.kms_key_id
        if key_id is None:
            return None
        if key.key is not None and key_id == key.key.arn:
            return key.key
        return readable(lambda: find_key(self.clients.kms, key_id))

    def _source(self, desired: Desired) -> SourceEvidence | None:
        source = desired.request.secret.value.copy_from
        if source is None:
            return None
        _, partition, _, region, account, _ = source.secret_arn.split(":", 5)
        if (partition, account) != (desired.place.partition, desired.place.account):
            return None
        if region not in regions(partition):
            return SourceEvidence(region_exists=False)
        origin_hosts = self.registry.origin_hosts(source.secret_arn, desired.access_id)
        try:
            secret = find_secret(self.secretsmanager_in(region), source.secret_arn)
        except ClientError as error:
            if not is_refused(error):
                raise
            return SourceEvidence(region_exists=True, hidden=True, origin_hosts=origin_hosts)
        return SourceEvidence(region_exists=True, secret=secret, origin_hosts=origin_hosts)

    def _configured(self, desired: Desired) -> Configured | None:
        """The present configuration of the resource, whoever configures it."""
        configuration = desired.system.configuration
        if configuration is None or desired.resource.wrong_location(desired.place):
            return None
        return configuration.read(self.clients.client_for(configuration.service), desired.resource)

    def _resource(
        self, desired: Desired, record: AccessRecord | None, found: ObservedSecret | None, configured: Configured | None
    ) -> ResourceEvidence | None:
        configuration = desired.system.configuration
        if configuration is None or not is_configured_by_api(desired):
            return None
        client = self.clients.client_for(configuration.service)
        evidence = resource_evidence(desired, configured, found.arn if found else None, record, self.registry, client)
        former = configured.secret_arn if configured else None
        replaces = former is not None and desired.system.granted is not None and not (found and found.arn == former)
        return replace(evidence, former_secret=self._former_secret(former)) if former and replaces else evidence

    def _former_secret(self, arn: str) -> FormerSecretEvidence | None:
        """A secret that a resource uses now; None if it does not exist, because then no working state can be restored."""
        secretsmanager, kms = self.clients.secretsmanager, self.clients.kms
        try:
            found = find_secret(secretsmanager, arn)
            if found is None or found.is_being_deleted:
                return None
            policy = all_secret_policies(secretsmanager, found.arn)
        except ClientError as error:
            if not is_refused(error):
                raise
            return FormerSecretEvidence(arn, hidden=True)
        evidence = FormerSecretEvidence(arn=found.arn, policy=policy, key_arn=found.kms_key_id, tags=found.tags)
        try:
            key = find_key(kms, found.kms_key_id) if found.kms_key_id else None
            return replace(evidence, key_policy=key_policy(kms, key.arn) if key else None)
        except ClientError as error:
            if not is_refused(error):
                raise
            return replace(evidence, hidden_key=True)


def _is_hidden(desired: Desired, error: ClientError) -> bool:
    """Whether AWS denies reading the secret. A new name can have no secret yet, so only the policy of a secret proves that."""
    return is_denied_by_resource(error) if desired.needs_secret else is_refused(error)


def readable[T](read: Callable[[], T]) -> T | None:
    """What a read returns, or None if AWS denies it."""
    try:
        return read()
    except ClientError as error:
        if not is_refused(error):
            raise
        return None


def _other_secrets(desired: Desired) -> list[str]:
    return [arn for arn in desired.resource.other_secret_arns if is_local(desired, arn)]


def resource_evidence(
    desired: Desired,
    configured: Configured | None,
    secret_arn: str | None,
    record: AccessRecord | None,
    registry: Registry,
    client: Any,
) -> ResourceEvidence:
    """The evidence about a resource, with the tags of its owner, and whether they must express consent."""
    configuration = desired.system.configuration
    if configured is None or configuration is None:
        return ResourceEvidence(configured)
    referred = registry.resources.is_referred(configured.arn, desired.access_id)
    needs_consent = needs_resource_consent(desired, configured, secret_arn, record, referred=referred)
    return ResourceEvidence(configured, ConsentTarget(*configuration.consent_target(client, configured)), needs_consent)


def brings_new_token(desired: Desired, registry: Registry) -> bool:
    """Whether the request imports or adopts a token that nobody can have yet, because another access waits for it."""
    source = desired.request.secret.value.source_arn
    return source is not None and is_local(desired, source) and registry.is_new_token(source)
