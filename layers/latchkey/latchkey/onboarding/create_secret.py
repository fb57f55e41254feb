"""Finds or creates the secret of an access."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from latchkey.access.desired import Desired
from latchkey.aws.errors import settling
from latchkey.aws.secrets import find_secret
from latchkey.errors import Conflict, TransientAwsError
from latchkey.onboarding import secret_values
from latchkey.onboarding.step_result import StepResult
from latchkey.tags import ACCESS

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


def create_secret(desired: Desired, key: StepResult, client_of_region: secret_values.ClientOfRegion) -> StepResult:
    """Makes the secret under the key, or keeps the one of that name; a copied value that differs becomes a new version.

    The token is born and dies in this function's memory; nothing it returns or raises holds it.
    """
    secretsmanager = client_of_region(desired.place.region)
    found = find_secret(secretsmanager, desired.secret_name)
    token = secret_values.copied_token(desired, client_of_region)
    if found is None:
        value = secret_values.compose(desired, token) if token else secret_values.generated_value(desired)
        return _create_secret(desired, key, value, secretsmanager)
    if found.tags.get(ACCESS) != desired.access_id:
        raise Conflict(f"{found.arn} has been made for another access since the request was checked")
    present = secret_values.read_value(secretsmanager, found.arn) if token else ""
    value = secret_values.compose(desired, token, present) if token else present
    if value == present:
        return StepResult(arn=found.arn, changed=desired.made(found.tags))
    with settling(key.created):
        secretsmanager.put_secret_value(
            SecretId=found.arn, SecretString=value, ClientRequestToken=_version_id(desired.request.request_id)
        )
    return StepResult(arn=found.arn, changed=True)


def _create_secret(desired: Desired, key: StepResult, value: str, secretsmanager: SecretsManagerClient) -> StepResult:
    try:
        with settling(key.created):
            made = secretsmanager.create_secret(
                Name=desired.secret_name,
                Description=f"Latchkey: the token of {desired.access_id}",
                # The ARN, not an alias: MediaTailor passes what DescribeSecret tells on to CreateGrant, which takes no alias.
                KmsKeyId=key.arn,
                SecretString=value,
                ClientRequestToken=_version_id(desired.request.request_id),
                Tags=[{"Key": name, "Value": text} for name, text in desired.tags().items()],
            )
    except Conflict:
        # Made meanwhile by another run of this request; a retry finds it and goes on from there.
        raise TransientAwsError(f"the secret {desired.secret_name} has just been made by somebody else") from None
    return StepResult(arn=made["ARN"], changed=True)


def _version_id(request_id: str) -> str:
    """One request makes one version of a secret, however often it is tried."""
    return hashlib.sha256(request_id.encode()).hexdigest()
