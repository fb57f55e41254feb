"""Attaches what lets the service read: our statements in both policies, and the reader role of a service that assumes one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from latchkey import policies
from latchkey.access.bounds import Bounds
from latchkey.access.consent import missing_consent
from latchkey.access.desired import Desired
from latchkey.access.tenants import Tenants
from latchkey.aws.clients import Clients
from latchkey.aws.errors import settling
from latchkey.aws.keys import find_key, key_policy
from latchkey.aws.roles import ObservedRole
from latchkey.aws.secrets import ObservedSecret, current_keys, find_secret
from latchkey.errors import Conflict, InvalidRequest, TransientAwsError
from latchkey.onboarding.reader_role import ensure_role
from latchkey.onboarding.rules.consent import was_created_for
from latchkey.onboarding.rules.key import NOT_FOR_LIVE_PARTNER_KEYS, NOT_FOR_SHARED_KEYS, powers_over_partner
from latchkey.onboarding.shared_policies import key_shares_of_others, merge_into, secret_shares_of_others
from latchkey.onboarding.step_input import StepInput
from latchkey.onboarding.step_result import StepResult
from latchkey.policies import Statement
from latchkey.policies.reader_roles import ReaderRole
from latchkey.registry import Registry
from latchkey.registry.journal import ROLE, SECRET_KEY, RequestJournal, key_policy_step, secret_policy_step
from latchkey.removal.policies import policy_of_key, policy_of_secret
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.settings import Settings
from latchkey.tags import CONSENT

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient

__all__ = ["AttachPoliciesInput", "StepResult", "attach_policies"]


class AttachPoliciesInput(StepInput):
    """The request, its key, and the ARN of its secret if the system reads one."""

    key: StepResult
    secret_arn: str | None


def attach_policies(
    event: AttachPoliciesInput, settings: Settings, registry: Registry, clients: Clients, tenants: Tenants
) -> StepResult:
    """Merges our statements into the key policy and the secret's policy, moves the secret to the key, and ensures the role.

    The policies come first, so that the present readers of an adopted secret keep their access when it moves. Without a
    secret, only the key policy changes.
    """
    key, bounds = event.key, _bounds_of(event.tenant, settings, tenants)
    attachments = [
        Attachment(
            desired,
            registry.journal_of(event.execution_arn, desired.access_id, event.tenant),
            key,
            bounds,
            registry,
            clients,
        )
        for desired in event.desired(settings)
    ]
    secret = find_secret(clients.secretsmanager, event.secret_arn) if event.secret_arn else None
    if secret is None and event.secret_arn:
        raise Conflict(f"{event.secret_arn} was deleted after the request was checked: send the request again")
    with settling(key.settles_from):
        merged = [attachment.merge_policies(secret) for attachment in attachments]
        changed = any(merged)
        if secret is None:
            return StepResult(arn=key.arn, changed=changed, settlesFrom=datetime.now(UTC) if changed else key.settles_from)
        # The last one is that of the request. All statements are in the policies before the secret moves.
        changed |= attachments[-1].move_secret(secret)
        attachments[-1].require_readable(secret)
    settles_from = datetime.now(UTC) if changed else key.settles_from
    ensured = [attachment.ensure_role(secret) for attachment in attachments]
    return StepResult(arn=secret.arn, changed=changed or any(ensured), settlesFrom=settles_from)


@dataclass(frozen=True)
class Attachment:
    """What one access needs in the policies of its key and its secret, and in its role."""

    desired: Desired
    journal: RequestJournal
    key: StepResult
    bounds: Bounds
    registry: Registry
    clients: Clients

    def merge_policies(self, secret: ObservedSecret | None) -> bool:
        """Merges our statements into the policies of the key and the secret, and returns whether they lacked any."""
        desired, key, journal, registry = self.desired, self.key, self.journal, self.registry
        kms, secretsmanager, iam = self.clients.kms, self.clients.secretsmanager, self.clients.iam
        key_share = desired.key_share(secret.arn if secret and self._leaves_default_key(secret) else None)
        _refuse_powers(desired, key, kms, registry)
        if registry.accesses.get(desired.access_id) is None:
            # Other requests can write the statements of this one, so it can find them in the policies.
            _note_added(journal, key_policy_step(key.arn), key.arn, [*key_share.written])
            if secret is not None:
                _note_added(journal, secret_policy_step(secret.arn), secret.arn, [*desired.secret_statements(secret.arn)])
        if journal.accompanies:
            registry.refer(key.arn, journal)
        changed = merge_into(
            policy_of_key(key.arn, kms, iam, self.bounds.settings.key_writers),
            key_share,
            lambda: key_shares_of_others(desired, key.arn, registry, self.bounds),
            registry,
            partial(_note_added, journal, key_policy_step(key.arn), key.arn),
        )
        if secret is None:
            return changed
        return changed | merge_into(
            policy_of_secret(secret.arn, secretsmanager, iam),
            desired.secret_share(secret.arn),
            lambda: secret_shares_of_others(desired, secret.arn, registry, self.bounds),
            registry,
            partial(_note_added, journal, secret_policy_step(secret.arn), secret.arn),
            lambda: _require_same_secret(desired, secret, self.clients, registry),
        )

    def move_secret(self, secret: ObservedSecret) -> bool:
        """Moves the secret to the key, and returns whether it was under another one.

        The versions with a label then have a copy under each key, so that the services keep reading through their former
        grants and roles until they have new ones.
        https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_update-encryption-key.html
        """
        desired, key, kms, secretsmanager = self.desired, self.key, self.clients.kms, self.clients.secretsmanager
        if secret.kms_key_id == key.arn:
            return False
        _require_key_move(desired, secret, key, kms)
        self.journal.intend(SECRET_KEY, {"arn": secret.arn, "key": key.arn}, found={"key": secret.kms_key_id})
        # No call between this read and the write: a person can move the secret or withdraw consent at any time.
        _require_same_secret(desired, secret, self.clients, self.registry)
        secretsmanager.update_secret(SecretId=secret.arn, KmsKeyId=key.arn)
        return True

    def require_readable(self, secret: ObservedSecret) -> None:
        """Raises Conflict if the current version of a secret that an active access reads has no copy under the new key.

        Secrets Manager copies nothing, and reports no error, if this function cannot decrypt with the former key. The readers
        must then keep their access to that key.
        """
        if not self.desired.request.key.move:
            return
        moved = find_secret(self.clients.secretsmanager, secret.arn)
        keys = current_keys(moved, self.clients.kms, self.clients.secretsmanager) if moved else ()
        if self.key.arn not in keys:
            rule = f"the current version of {secret.arn} is still encrypted only with {', '.join(keys)}"
            raise Conflict(f"{rule}: allow the role of attach_policies kms:Decrypt on that key, and send the request again")

    def ensure_role(self, secret: ObservedSecret) -> bool:
        """Ensures the role of a service that assumes one, and returns whether it changed."""
        desired, registry, journal = self.desired, self.registry, self.journal
        role = desired.role(self.key.arn, secret.arn)
        if role is None:
            return False
        # The reference proves that the role is ours; its tag alone does not, because anybody can set it.
        role_arn = role.arn(desired.place)
        referred = registry.resources.is_referred(role_arn, desired.access_id)
        registry.refer(role_arn, journal)
        note_change = partial(_note_role, desired, role, journal, registry)
        return ensure_role(desired, role, self.clients.iam, note_change, referred=referred)

    def _leaves_default_key(self, secret: ObservedSecret) -> bool:
        """Whether the secret leaves the default key, or left it for its present key, whose policy still admits its readers."""
        if secret.kms_key_id == self.key.arn or not self.desired.request.key.move:
            return _is_under_default_key(secret, self.key, self.clients.kms)
        present = find_key(self.clients.kms, secret.kms_key_id) if secret.kms_key_id else None
        if present is None or not present.customer_managed:
            return True
        rule = policies.default_key_rule([secret.arn], self.desired.place)
        return not policies.missing_from(key_policy(self.clients.kms, present.arn), [rule])


def _bounds_of(tenant: str, settings: Settings, tenants: Tenants) -> Bounds:
    """The bounds of a tenant now. Its document can have become invalid since the request was checked."""
    try:
        return Bounds(settings, tenants.document(tenant))
    except InvalidRequest as error:
        raise Conflict(f"the document of the tenant is not valid: {error}") from None


def _refuse_powers(desired: Desired, key: StepResult, kms: KMSClient, registry: Registry) -> None:
    """Repeats the rules of check_request, because another access can have started to use the key since then."""
    if not desired.asks_for_powers:
        return
    is_live = desired.system.key_is_exclusive and registry.accesses.get(desired.access_id) is not None
    is_shared = not key.changed and bool(registry.resources.others(key.arn, desired.access_id))
    if not is_live and not is_shared:
        return
    missing = desired.powers_missing_from(key_policy(kms, key.arn))
    if is_shared and missing:
        raise Conflict(f"{', '.join(missing)} {NOT_FOR_SHARED_KEYS}")
    if is_live and (members := powers_over_partner(desired, missing)):
        raise Conflict(f"{', '.join(members)} {NOT_FOR_LIVE_PARTNER_KEYS}")


def _require_same_secret(desired: Desired, decided: ObservedSecret, clients: Clients, registry: Registry) -> None:
    """Reads the secret again. Raises TransientAwsError if it changed, so that the step decides again.

    Raises Conflict if the owner withdrew consent or gave the secret to another tenant.
    """
    # A secret without an ARN in the request comes from create_secret, which accepts only a secret that check_request found or
    # one that it created itself.
    referred = desired.needs_secret or registry.resources.is_referred(desired.secret_resource, desired.access_id)
    found = find_secret(clients.secretsmanager, decided.arn)
    if found is None:
        raise Conflict(f"{decided.arn} was deleted after the request was checked: send the request again")
    if not desired.owns(found.tags):
        raise Conflict(f"{decided.arn} is {NOT_ALLOWED}")
    if found.tags.get(CONSENT) != "adopt" and not was_created_for(desired, found, referred=referred):
        raise Conflict(f"{found.arn} is {missing_consent(found.arn)}")
    if found != decided:
        raise TransientAwsError(f"{decided.arn} changed after this request read it")


def _is_under_default_key(secret: ObservedSecret, key: StepResult, kms: KMSClient) -> bool:
    """Whether the secret is encrypted with aws/secretsmanager, which can be named by its ID, ARN or alias as well."""
    if secret.kms_key_id is None or secret.kms_key_id == key.arn:
        return secret.kms_key_id is None
    present = find_key(kms, secret.kms_key_id)
    return present is not None and not present.customer_managed


def _require_key_move(desired: Desired, secret: ObservedSecret, key: StepResult, kms: KMSClient) -> None:
    """Raises Conflict if the secret is under another customer managed key and the request does not ask for a move."""
    if secret.kms_key_id is None or desired.request.secret.move_key or desired.request.key.move:
        return
    present = find_key(kms, secret.kms_key_id)
    if present is None or (present.customer_managed and present.arn != key.arn):
        raise Conflict(
            f"{secret.arn} was moved to {secret.kms_key_id} after the request was checked: "
            "name that key in key.arn, or set secret.moveKey to true"
        )


def _note_added(journal: RequestJournal, step: str, arn: str, added: list[Statement]) -> None:
    """Records the parts of statements that this request adds, without dropping those of an earlier attempt."""
    noted = journal.entry(step)
    journal.intend(step, {"arn": arn, "added": policies.union([noted.wanted["added"] if noted else [], added])})


def _note_role(
    desired: Desired, role: ReaderRole, journal: RequestJournal, registry: Registry, found: ObservedRole | None
) -> None:
    """Records a change of the role. If the role has the tag of this request, an earlier attempt created it."""
    former = {"trust": found.trust, "policy": found.policy} if found and not desired.made(found.tags) else None
    journal.intend(ROLE, {"name": role.name, "trust": role.trust, "policy": role.policy}, found=former)
    registry.accesses.note_role_change(desired.access_id)
