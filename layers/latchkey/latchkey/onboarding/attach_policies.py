"""Attaches what lets the service read: our statements in both policies, and the reader role of a service that assumes one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from latchkey.access.desired import Desired, desire
from latchkey.aws.clients import Clients
from latchkey.aws.errors import settling
from latchkey.aws.keys import key_policy
from latchkey.aws.secrets import find_secret
from latchkey.errors import Conflict
from latchkey.onboarding.reader_role import ensure_role
from latchkey.onboarding.rules.key import NOT_FOR_SHARED_KEYS
from latchkey.onboarding.shared_policies import (
    key_shares_of_others,
    merge_into,
    policy_of_key,
    policy_of_secret,
    secret_shares_of_others,
)
from latchkey.onboarding.step_input import StepInput
from latchkey.onboarding.step_result import StepResult
from latchkey.registry import Registry
from latchkey.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient

__all__ = ["AttachPoliciesInput", "StepResult", "attach_policies"]


class AttachPoliciesInput(StepInput):
    """The request, its key, and the ARN of its secret if the system reads one."""

    key: StepResult
    secret_arn: str | None


def attach_policies(event: AttachPoliciesInput, settings: Settings, registry: Registry, clients: Clients) -> StepResult:
    """Merges our statements into the key policy and the secret's policy, moves the secret to the key, and ensures the role.

    The policies come first, so that the present readers of an adopted secret keep their access when it moves. Without a
    secret, only the key policy changes.
    """
    desired, key = desire(event.request, settings, event.tenant), event.key
    kms, secretsmanager = clients.kms, clients.secretsmanager
    secret = find_secret(secretsmanager, event.secret_arn) if event.secret_arn else None
    if secret is None and event.secret_arn:
        raise Conflict(f"{event.secret_arn} was deleted after the request was checked: send the request again")
    key_share = desired.key_share(secret.arn if secret and secret.kms_key_id is None else None)
    with settling(key.created):
        _refuse_power_over_others(desired, key, kms, registry)
        changed = merge_into(
            policy_of_key(key.arn, kms),
            key_share,
            lambda: key_shares_of_others(desired, key.arn, registry, settings),
            registry,
        )
        if secret is None:
            return StepResult(arn=key.arn, changed=changed, created=datetime.now(UTC) if changed else key.created)
        changed |= merge_into(
            policy_of_secret(secret.arn, secretsmanager),
            desired.secret_share(secret.arn),
            lambda: secret_shares_of_others(desired, secret.arn, registry, settings),
            registry,
        )
        if secret.kms_key_id != key.arn:
            secretsmanager.update_secret(SecretId=secret.arn, KmsKeyId=key.arn)
            changed = True
    created = datetime.now(UTC) if changed else key.created
    role = desired.role(key.arn, secret.arn)
    if role is not None:
        # The reference proves that the role is ours; its tag alone does not, because anybody can set it.
        registry.resources.refer(role.arn(desired.place), desired.access_id)
        changed |= ensure_role(desired, role, clients.iam, lambda: registry.journal.note_role_change(desired.access_id))
    return StepResult(arn=secret.arn, changed=changed, created=created)


def _refuse_power_over_others(desired: Desired, key: StepResult, kms: KMSClient, registry: Registry) -> None:
    """Repeats a rule of check_request, because another access can have started to use the key since then."""
    if desired.asks_for_powers and not key.changed and registry.resources.others(key.arn, desired.access_id):
        members = desired.powers_missing_from(key_policy(kms, key.arn))
        if members:
            raise Conflict(f"{', '.join(members)} {NOT_FOR_SHARED_KEYS}")
