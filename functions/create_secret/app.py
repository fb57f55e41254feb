"""Creates or finds the secret of an access. This is the only function that can read or write a token."""

from functools import wraps
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.create_secret import CreateSecretInput, StepResult, ValueCheck, create_secret
from latchkey.onboarding.recorded_values import CheckedValues, CheckValuesInput, check_values
from latchkey.registry import registry
from latchkey.settings import settings


@step(CreateSecretInput, waits=lambda: registry().requests)
def _of_request(event: CreateSecretInput) -> StepResult | ValueCheck:
    """Ensures the secret under the key; without a key in the input, only checks the format of existing values.

    The result contains an ARN or problems, never a value.
    """
    return create_secret(event, settings(), registry(), clients.secretsmanager)


@step(CheckValuesInput)
def _of_reconciliation(event: CheckValuesInput) -> CheckedValues:
    """Checks the values of recorded accesses. The result contains verdicts, never a value."""
    return check_values(event, settings(), registry(), clients.secretsmanager)


@wraps(_of_request)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return (_of_reconciliation if "checkedAccesses" in event else _of_request)(event, context)
