"""The request that a restoration fulfills."""

from __future__ import annotations

from typing import Any

from latchkey.onboarding.rules.move import NOT_READING
from latchkey.registry import Registry
from latchkey.requests.models import KeyRequest, OnboardingRequest


def restored_request(access_id: str, registry: Registry) -> OnboardingRequest[Any] | None:
    """The request that the access last fulfilled, with the present key of its secret, or None.

    Other accesses that read the secret can have moved it to another key since this one was offboarded.
    """
    record, recorded = registry.accesses.get(access_id), registry.accesses.recorded_request(access_id)
    if record is None or recorded is None or record.status != "offboarded" or record.secret_arn is None:
        return recorded
    for other in sorted(registry.resources.others(_resource(record.secret_arn), access_id)):
        found = registry.accesses.get(other)
        is_reading = registry.phases.state(other) not in NOT_READING
        if found and is_reading and found.secret_arn == record.secret_arn and found.key_arn != record.key_arn:
            return recorded.model_copy(update={"key": KeyRequest(arn=found.key_arn)})
    return recorded


def _resource(secret_arn: str) -> str:
    """The name of a secret in the registry. Its ARN ends with the name, a hyphen and six random characters."""
    return f"secret {secret_arn.split(':secret:', 1)[1][:-7]}"
