"""What an access finds about the principals other than its service, and about a reader role that was created again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latchkey import policies
from latchkey.access.principals import Standing, failed_standing_checks
from tests.unit.samples import FULL, PLACE, SECRET_ARN, desired, role

WANTED = desired(FULL)
SOUND = Standing(WANTED.new_key_policy, policies.new_document(WANTED.secret_statements(SECRET_ARN)))
RECORDED = datetime(2026, 11, 22, tzinfo=UTC)
DELETED = "AROADBQP57FF2AEXAMPLE"
THEIRS: policies.Statement = {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": DELETED}, "Action": "*", "Resource": "*"}


def with_statement(policy: policies.Document | None, statement: policies.Statement) -> policies.Document:
    return policies.new_document([*policies.statements_of(policy or {}), statement])


def names(standing: Standing, secret_arn: str | None = SECRET_ARN) -> list[str]:
    return [check.name for check in failed_standing_checks(WANTED, secret_arn, standing) if check.finding]


def test_a_working_access_has_no_finding() -> None:
    assert names(SOUND) == []
    assert names(Standing(None, None)) == []


@pytest.mark.parametrize(
    ("kind", "standing"),
    [
        ("key", replace(SOUND, key_policy=with_statement(SOUND.key_policy, THEIRS))),
        ("secret", replace(SOUND, secret_policy=with_statement(SOUND.secret_policy, THEIRS))),
    ],
)
def test_a_deleted_principal_of_others_is_a_finding(kind: str, standing: Standing) -> None:
    [found] = failed_standing_checks(WANTED, SECRET_ARN, standing)

    assert (found.name, DELETED in found.evidence) == (f"{kind} policy names no deleted principals", True)


def test_the_key_of_a_moved_secret_is_no_finding() -> None:
    moved = replace(SOUND, key_policy=policies.new_document([THEIRS]), moved=True)

    assert names(moved) == []
    assert "key policy admits the users" in [check.name for check in failed_standing_checks(WANTED, SECRET_ARN, moved)]


def test_an_access_without_a_secret_has_no_policy_of_one() -> None:
    assert names(replace(SOUND, secret_policy=policies.new_document(())), None) == []


@pytest.mark.parametrize(("created", "recorded", "found"), [(1, 0, True), (-1, 0, False), (None, 0, False), (1, None, False)])
def test_a_reader_role_is_newer_than_the_record_if_it_was_created_again(
    created: int | None, recorded: int | None, found: bool
) -> None:
    times: dict[str, Any] = {
        "role_created": None if created is None else RECORDED + timedelta(hours=created),
        "recorded_at": None if recorded is None else RECORDED,
    }

    assert names(replace(SOUND, **times)) == (["role is the one that was recorded"] if found else [])


def test_a_partner_without_its_statement_is_revoked_and_no_finding() -> None:
    wanted = desired(kind="adobe-experience-platform")
    standing = Standing(policies.new_document([policies.delegation(PLACE)]), None)

    [failed] = failed_standing_checks(wanted, None, standing)

    assert (failed.name, failed.revokes, failed.finding) == ("key policy admits the roles", True, False)


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
