"""A staged hand-off says who needs the token, who can read it, and how the resource is then configured."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey.onboarding.staged_handoff import staged_handoff
from latchkey.systems.system import Handoff, Reading
from tests.unit.samples import KEY_ARN, SECRET_ARN, desired, role

READERS = [role("Cdn"), role("Packager")]


def handed_off(*public: str, configured: bool = False, **secret: Any) -> Handoff:
    wanted = desired({"secret": {"value": {"generate": {}}} | secret}, "mediapackage")
    return staged_handoff(wanted, Reading(SECRET_ARN, role("Reader")), KEY_ARN, public, is_configured=configured)


def test_the_roles_of_the_request_can_read_the_token() -> None:
    found = handed_off(originReaders=READERS)

    assert found.values["readers"] == ", ".join(READERS)
    assert f"One of the roles {', '.join(READERS)} can read it." in found.steps[0]
    assert SECRET_ARN in found.steps[0]


def test_without_roles_the_hand_off_says_what_a_principal_needs_to_read_the_token() -> None:
    found = handed_off()

    assert "readers" not in found.values
    for needed in (
        "secretsmanager:GetSecretValue",
        f"kms:Decrypt on {KEY_ARN}",
        "send the request again with secret.originReaders",
    ):
        assert needed in found.steps[0]


@pytest.mark.parametrize(("configured", "then"), [(False, "configures the resource"), (True, "validates the access")])
def test_the_last_step_confirms_the_hand_off(configured: bool, then: str) -> None:
    last = handed_off(configured=configured).steps[-1]

    assert last.startswith("Send the event Handoff Confirmed with this accessId")
    assert last.endswith(f"Latchkey then {then}.")


def test_statements_that_admit_everybody_are_named() -> None:
    assert [step for step in handed_off("Everyone", "Statement 3").steps if "Everyone, Statement 3" in step]
