"""Whether a resource is served by a grant, and whether it could need the revoked one."""

from dataclasses import replace

import pytest

from latchkey.access.grants import granted_resource
from latchkey.aws.grants import Grant
from latchkey.cleanup.verdict import Evidence, ResourceEvidence, SecretEvidence, is_served, uses_another_secret
from tests.unit.samples import EXISTING_ARN, KEY_ARN, PLACE, SECRET_ARN
from tests.unit.test_grants import CREATED, GRANT

RESOURCE = granted_resource("mediatailor/sourceLocation/sports", PLACE)
LIVING = SecretEvidence(True, True, KEY_ARN, "", arn=SECRET_ARN)


@pytest.mark.parametrize(
    ("named", "secret", "grants", "served"),
    [
        (SECRET_ARN, LIVING, [GRANT], True),
        (SECRET_ARN, LIVING, [], False),
        (SECRET_ARN, LIVING, [replace(GRANT, key_arn="another")], False),
        (SECRET_ARN, replace(LIVING, arn=None), [GRANT], True),
        (None, LIVING, [], None),
        (EXISTING_ARN, LIVING, [], None),
        (SECRET_ARN, replace(LIVING, exists=False), [], None),
        (SECRET_ARN, replace(LIVING, admits=False), [], None),
        (SECRET_ARN, replace(LIVING, key_arn="another"), [], None),
    ],
    ids=[
        "by its grant",
        "by none",
        "by one on another key",
        "by its grant for the name it sends",
        "it sends no token",
        "its secret was not looked at",
        "no secret",
        "not admitted",
        "under another key",
    ],
)
def test_a_resource_that_could_read_is_served_or_not(
    named: str | None, secret: SecretEvidence, grants: list[Grant], served: bool | None
) -> None:
    evidence = Evidence(CREATED, ResourceEvidence(True, named, ""), {SECRET_ARN: secret}, grants)

    assert is_served(RESOURCE, evidence, KEY_ARN, SECRET_ARN) is served


@pytest.mark.parametrize(
    ("named", "secret", "bound", "past"),
    [
        (SECRET_ARN, LIVING, EXISTING_ARN, True),
        (EXISTING_ARN, None, SECRET_ARN, True),
        (SECRET_ARN.rpartition("-")[0], LIVING, SECRET_ARN, False),
        ("the-name-alone", LIVING, EXISTING_ARN, True),
        ("the-name-alone", None, EXISTING_ARN, False),
        (SECRET_ARN, LIVING, None, False),
        (None, None, SECRET_ARN, False),
    ],
    ids=[
        "another secret",
        "another secret that may not be read",
        "its secret without the suffix",
        "another secret by its name",
        "some secret by its name",
        "bound to its resource",
        "no secret",
    ],
)
def test_a_resource_with_another_secret_needs_no_grant_for_the_former_one(
    named: str | None, secret: SecretEvidence | None, bound: str | None, past: bool
) -> None:
    secrets = {named: secret} if named and secret else {}
    evidence = Evidence(CREATED, ResourceEvidence(True, named, ""), secrets, [])

    assert uses_another_secret(bound, evidence) is past
    assert is_served(RESOURCE, evidence, KEY_ARN, bound) is (None if past or not secret else False)
