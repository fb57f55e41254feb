"""Who was denied what by which policy, as far as the error message of AWS says."""

from __future__ import annotations

import re

from latchkey.wire import WireModel

# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html#access-denied-message-formats
_DENIAL = re.compile(
    r"User: (?P<principal>\S+) is not authorized to perform: (?P<action>[A-Za-z0-9-]+:[A-Za-z0-9]+)"
    r"(?: on resource: (?P<resource>\S+))?"
    r"(?: (?P<reason>(?:with an explicit deny|because no )[^\r\n]*))?"
)


class Denial(WireModel):
    """A call that AWS denied: the principal that made it, the action, and the resource.

    `reason` names the kind of policy that denied the call, and its ARN if AWS does.
    """

    principal: str
    action: str
    resource: str | None = None
    reason: str | None = None


def denial_in(message: str) -> Denial | None:
    """The denial that an error message describes, or None."""
    found = _DENIAL.search(message)
    if found is None:
        return None
    reason = (found["reason"] or "").rstrip(". ") or None
    return Denial(principal=found["principal"], action=found["action"], resource=found["resource"], reason=reason)
