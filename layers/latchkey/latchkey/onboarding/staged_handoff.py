"""The hand-off of a staged access: who needs the token, who can read it, and how the resource is then configured."""

from __future__ import annotations

from collections.abc import Sequence

from latchkey.access.desired import Desired
from latchkey.requests.models import HANDOFF_CONFIRMED
from latchkey.systems.system import Handoff, Reading


def staged_handoff(
    desired: Desired, reading: Reading, key_arn: str, public_statements: Sequence[str], *, is_configured: bool
) -> Handoff:
    """What is left to do until the resource admits nobody without the token. No value is part of it, only where to read it.

    `public_statements` in the policy of the resource admit everybody, and its owner removes them. `is_configured`: the resource
    reads the secret already.
    """
    counterpart, shape, readers = desired.system.counterpart, desired.secret_shape, desired.request.secret.origin_readers
    who = counterpart.who(desired.resource) if counterpart else "everybody who needs the token"
    member = shape.member if shape else None
    part = f"the member {member}" if member else "the value"
    if readers:
        by = f"One of the roles {', '.join(readers)} can read it."
    else:
        by = (
            f"A principal of account {desired.place.account} can read it if its IAM policies allow "
            f"secretsmanager:GetSecretValue on the secret and kms:Decrypt on {key_arn}. "
            "To allow a role, send the request again with secret.originReaders."
        )
    values = {
        "secretArn": reading.secret_arn,
        "secretMember": member,
        "keyArn": key_arn,
        "readers": ", ".join(readers),
        "roleArn": reading.role_arn,
    }
    return Handoff(
        values={name: value for name, value in values.items() if value},
        steps=(
            f"Read the token that {who} must have: {part} of {reading.secret_arn}. {by}",
            *([counterpart.preparation(desired.resource)] if counterpart else []),
            *(["The resource accepts the token now."] if is_configured else []),
            *(
                [f"Restrict or remove the statements {', '.join(public_statements)} of its policy: they admit everybody."]
                if public_statements
                else []
            ),
            f"Send the event {HANDOFF_CONFIRMED} with this accessId to the request bus. "
            f"Latchkey then {'validates the access' if is_configured else 'configures the resource'}.",
        ),
    )
