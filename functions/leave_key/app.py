"""Leaves the former key of a secret that was moved to another one."""

from latchkey.aws import clients
from latchkey.events.outcomes import KeyLeft
from latchkey.handler import step
from latchkey.onboarding.leave_key import LeaveKeyInput, leave_key
from latchkey.registry import registry
from latchkey.settings import settings


@step(LeaveKeyInput)
def lambda_handler(event: LeaveKeyInput) -> KeyLeft:
    """Removes statements that no access needs, and schedules the deletion of a key that Latchkey created and nothing uses."""
    return leave_key(event, settings(), registry(), clients.rollback_clients())
