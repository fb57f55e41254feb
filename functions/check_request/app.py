"""Checks a request against the account and the stack parameters before anything is changed."""

from latchkey.access.tenants import tenants
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.check_request import CheckRequestInput, FunctionRoles, OnboardingPlan, check_request
from latchkey.registry import registry
from latchkey.settings import settings


@step(CheckRequestInput, waits=lambda: registry().requests)
def lambda_handler(event: CheckRequestInput) -> OnboardingPlan:
    """Claims the request id and locks the access in the registry; raises InvalidRequest with every problem of the request."""
    known, standard = settings(), clients.standard_clients()
    roles = FunctionRoles(
        attach=known.attach_role_arn,
        configure=known.configure_role_arn,
        create_secret=known.create_secret_role_arn,
        undo=known.undo_role_arn,
        validate=known.validate_role_arn,
    )
    return check_request(
        event, known, registry(), standard, clients.stepfunctions(), clients.secretsmanager, tenants(known), roles
    )
