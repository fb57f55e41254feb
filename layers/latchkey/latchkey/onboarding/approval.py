"""Consent for a key that a step finds, which can differ from the key that check_request found."""

from __future__ import annotations

from latchkey.aws.keys import ObservedKey
from latchkey.errors import Conflict
from latchkey.onboarding.rules.consent import is_approved_key, missing_consent
from latchkey.registry import Registry


def require_approved_key(key: ObservedKey, alias: str | None, registry: Registry) -> None:
    """Raises Conflict unless Latchkey created the key, by registry and tag, or its owner consented.

    Every step that finds a key calls this before it refers to the key. After check_request ran, the alias can have been moved
    to another key, or the owner can have withdrawn consent.
    """
    if not is_approved_key(key, recorded=registry.resources.is_recorded_key(key.arn, alias)):
        raise Conflict(f"{key.arn} is {missing_consent(key.arn)}")
