"""Idempotent verbs: each looks first, changes what is missing, and says whether it changed anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from latchkey.access.desired import NOT_FOR_A_SHARED_KEY, Desired
from latchkey.aws.errors import settling
from latchkey.aws.keys import key_policy
from latchkey.aws.secrets import find_secret, secret_policy
from latchkey.errors import Conflict
from latchkey.onboarding.reader_role import ensure_role
from latchkey.onboarding.shared_policies import key_statements_of_others, merge_into, secret_statements_of_others
from latchkey.onboarding.step_result import StepResult
from latchkey.registry import Registry
from latchkey.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


def attach_policies(
    desired: Desired,
    key: StepResult,
    secret_arn: str | None,
    kms: KMSClient,
    secretsmanager: SecretsManagerClient,
    iam: IAMClient,
    registry: Registry,
    settings: Settings,
) -> StepResult:
    """Puts our statements into the key policy and the secret's policy, then has the secret under the key.

    In this order, so that no present reader of an adopted secret loses it on the way. Without a secret it is the key alone.
    At last the role of a service that assumes one: it would be of no use before.
    """
    secret = find_secret(secretsmanager, secret_arn) if secret_arn else None
    if secret is None and secret_arn:
        raise Conflict(f"{secret_arn} has gone since the request was checked")
    from_default_key = secret is not None and secret.kms_key_id is None
    key_statements = desired.key_statements_beside(secret.arn if secret else "", under_default_key=from_default_key)
    with settling(key.created):
        _refuse_power_over_others(desired, key, kms, registry)
        changed = merge_into(
            f"policy of {key.arn}",
            key_statements,
            lambda: key_statements_of_others(desired, key.arn, registry, settings),
            registry,
            read=lambda: key_policy(kms, key.arn),
            write=lambda text: kms.put_key_policy(KeyId=key.arn, PolicyName="default", Policy=text),
        )
        if secret is None:
            return StepResult(arn=key.arn, changed=changed, created=datetime.now(UTC) if changed else key.created)
        changed |= merge_into(
            f"policy of {secret.arn}",
            desired.secret_statements(secret.arn),
            lambda: secret_statements_of_others(desired, secret.arn, registry, settings),
            registry,
            read=lambda: secret_policy(secretsmanager, secret.arn),
            write=lambda text: secretsmanager.put_resource_policy(
                SecretId=secret.arn, ResourcePolicy=text, BlockPublicPolicy=True
            ),
        )
        if secret.kms_key_id != key.arn:
            secretsmanager.update_secret(SecretId=secret.arn, KmsKeyId=key.arn)
            changed = True
    settles = datetime.now(UTC) if changed else key.created
    role = desired.role(key.arn, secret.arn)
    if role is not None:
        # So that nobody's role of this name is taken for ours.
        registry.resources.refer(role.arn(desired.place), desired.access_id)
        changed |= ensure_role(desired, role, iam, lambda: registry.journal.note_role_change(desired.access_id))
    return StepResult(arn=secret.arn, changed=changed, created=settles)


def _refuse_power_over_others(desired: Desired, key: StepResult, kms: KMSClient, registry: Registry) -> None:
    """The check of the request again: another access may have made the key since."""
    if desired.asks_for_powers and not key.changed and registry.resources.others(key.arn, desired.access_id):
        beyond = desired.powers_missing_from(key_policy(kms, key.arn))
        if beyond:
            raise Conflict(f"{', '.join(beyond)} {NOT_FOR_A_SHARED_KEY}")
