"""Which principals a policy admits, and which of its principals were deleted."""

import pytest

from latchkey import policies
from tests.unit.samples import PLACE, SECRET_ARN, role

DELETED = "AROADBQP57FF2AEXAMPLE"
THEIRS: policies.Statement = {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": DELETED}, "Action": "*", "Resource": "*"}


STATEMENT: policies.Statement = {"Effect": "Allow", "Principal": {"AWS": role("Reader")}, "Action": "kms:*", "Resource": "*"}


@pytest.mark.parametrize(
    ("statement", "admits"),
    [
        (STATEMENT, True),
        (STATEMENT | {"Principal": {"AWS": PLACE.account}}, True),
        (STATEMENT | {"Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
        (STATEMENT | {"Principal": {"AWS": role("Other")}}, False),
        (STATEMENT | {"Action": "kms:DescribeKey"}, False),
        (STATEMENT | {"Effect": "Deny"}, False),
        ({name: STATEMENT[name] for name in ("Effect", "Action")} | {"NotPrincipal": {"AWS": role("Other")}}, True),
    ],
)
def test_a_key_policy_could_admit_a_role(statement: policies.Statement, admits: bool) -> None:
    assert policies.could_admit_role(policies.new_document([statement]), role("Reader"), "kms:Decrypt") == admits


def test_deleted_principals_are_those_of_the_named_statements() -> None:
    own = policies.decryption([role("Origin")], [SECRET_ARN], PLACE) | {"Principal": {"AWS": [DELETED]}}
    policy = policies.new_document([own, THEIRS])

    assert policies.deleted_in_own(policy, [own["Sid"]]) == [DELETED]
    assert policies.deleted_in_own(policy, ["LatchkeyUsers"]) == policies.deleted_in_own(None, [own["Sid"]]) == []
