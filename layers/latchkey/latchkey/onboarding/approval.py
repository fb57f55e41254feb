"""Consent for and ownership of a key that a step finds, which can differ from the key that check_request found."""

from __future__ import annotations

from latchkey.access.consent import missing_consent
from latchkey.access.desired import Desired
from latchkey.aws.keys import ObservedKey
from latchkey.errors import Conflict
from latchkey.onboarding.rules.consent import is_approved_key
from latchkey.registry import Registry
from latchkey.requests.sender import NOT_ALLOWED


def require_approved_key(key: ObservedKey, desired: Desired, registry: Registry) -> None:
    """Raises Conflict unless the key belongs to the tenant, and Latchkey created it or its owner consented.

    The registry and the tag together prove that Latchkey created a key. Every step that finds a key calls this before it refers
    to the key. After check_request ran, the alias can have been moved to another key, or the owner can have withdrawn consent
    or given the key to another tenant.
    """
    if not desired.owns(key.tags):
        # Not the ARN of a key that only its alias identifies: it belongs to another tenant.
        raise Conflict(f"{desired.alias or key.arn} is {NOT_ALLOWED}")
    if not is_approved_key(key, desired.stack, recorded=registry.resources.is_recorded_key(key.arn, desired.alias)):
        raise Conflict(f"{key.arn} is {missing_consent(key.arn)}")
