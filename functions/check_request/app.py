"""Checks a request against what exists and what the stack allows."""

from latchkey import aws
from latchkey.checking import Checked, CheckRequestInput, check_request
from latchkey.preconditions import Look
from latchkey.registry import registry
from latchkey.settings import settings
from latchkey.steps import step


@step(CheckRequestInput)
def lambda_handler(event: CheckRequestInput) -> Checked:
    """Claims the request id in the registry; raises InvalidRequest with every problem, and changes nothing else."""
    look = Look(settings(), registry(), aws.kms(), aws.secretsmanager, aws.iam(), aws.client_of)
    return check_request(event, look)
