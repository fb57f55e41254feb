"""What an error message of AWS says about who was denied what by which policy."""

import pytest

from latchkey.events.denial import Denial, denial_in

PRINCIPAL = "arn:aws:sts::111122223333:assumed-role/cleaner/session"
KEY = "arn:aws:kms:us-east-1:111122223333:key/k"
CALL = f"RevokeGrant failed with AccessDeniedException (400): User: {PRINCIPAL} is not authorized to perform: kms:RevokeGrant"
SCP = "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/service_control_policy/p-1"


@pytest.mark.parametrize(
    ("message", "resource", "reason"),
    [
        (CALL, None, None),
        (f"{CALL} on resource: {KEY}", KEY, None),
        (f"{CALL} on resource: {KEY} {SCP}.", KEY, SCP),
        (
            f"{CALL} because no permissions boundary allows the kms:RevokeGrant action",
            None,
            "because no permissions boundary allows the kms:RevokeGrant action",
        ),
    ],
)
def test_a_denial_is_read_as_far_as_the_message_says(message: str, resource: str | None, reason: str | None) -> None:
    denied = Denial(principal=PRINCIPAL, action="kms:RevokeGrant", resource=resource, reason=reason)

    assert denial_in(message) == denied


@pytest.mark.parametrize("message", ["", "RevokeGrant failed with Odd (400)", "User: denied"])
def test_another_error_is_no_denial(message: str) -> None:
    assert denial_in(message) is None
