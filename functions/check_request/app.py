"""Checks a request against what exists and what the stack allows."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.check_request import CheckRequestInput, OnboardingPlan, check_request
from latchkey.onboarding.rules.request_rules import RequestRules
from latchkey.registry import registry
from latchkey.settings import settings


@step(CheckRequestInput)
def lambda_handler(event: CheckRequestInput) -> OnboardingPlan:
    """Claims the request id in the registry; raises InvalidRequest with every problem, and changes nothing else."""
    look = RequestRules(settings(), registry(), clients.kms(), clients.secretsmanager, clients.iam(), clients.client_for)
    return check_request(event, look)
