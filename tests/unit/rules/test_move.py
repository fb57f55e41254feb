"""Rules for the move of an active access to another key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from latchkey.errors import Problem
from latchkey.onboarding.rules.evidence import CompanionEvidence, KeyEvidence, RequestEvidence
from latchkey.onboarding.rules.move import (
    MOST_COMPANIONS,
    MOVE_PATH,
    companion_problems,
    is_move,
    move_problems,
    problems_of_companion,
)
from latchkey.onboarding.rules.secret import secret_problems
from tests.unit.rules.samples import NEWS, OTHER_KEY_ARN, key, key_evidence, paths, record, rules, secret, secret_evidence
from tests.unit.samples import ROLES, SETTINGS, desired

RECORDED = record()
MOVE = {"key": {"alias": "alias/latchkey/new", "move": True}}


def evidence(**members: Any) -> RequestEvidence:
    """An active access, whose secret is under the recorded key."""
    known: dict[str, Any] = {"record": RECORDED, "secret": secret_evidence()}
    return RequestEvidence(**known | members)


def test_a_request_without_a_move_has_no_rules_for_one() -> None:
    assert paths(move_problems(desired(), RequestEvidence())) == []
    assert not is_move(desired(), evidence())


def test_an_active_access_can_move() -> None:
    assert paths(move_problems(desired(MOVE), evidence())) == []


@pytest.mark.parametrize(
    ("found", "moves"),
    [(KeyEvidence(), True), (key_evidence(key(arn=OTHER_KEY_ARN)), True), (key_evidence(key(arn=RECORDED.key_arn)), False)],
)
def test_only_another_key_is_a_move(found: KeyEvidence, moves: bool) -> None:
    assert is_move(desired(MOVE), evidence(key=found)) is moves


@pytest.mark.parametrize(
    "members",
    [
        {"record": None},
        {"record": replace(RECORDED, status="revoked")},
        {"record": replace(RECORDED, reached="handed-off", status="handed-off")},
        {"secret": None},
        {"secret": secret_evidence(secret(arn=f"{RECORDED.secret_arn}-other"))},
    ],
)
def test_what_no_active_access_reads_cannot_move(members: dict[str, Any]) -> None:
    assert {*paths(move_problems(desired(MOVE), evidence(**members)))} == {MOVE_PATH}


def test_a_resource_that_its_owner_configures_cannot_move() -> None:
    assert paths(move_problems(desired(MOVE | {"resource.configure": False}), evidence())) == [MOVE_PATH]


@pytest.mark.parametrize(
    ("former", "member"),
    [(None, "secret.moveKey"), (RECORDED, "key.move"), (replace(RECORDED, reached="handed-off"), "secret.moveKey")],
)
def test_another_key_without_a_move_is_rejected_with_the_member_that_moves(former: Any, member: str) -> None:
    under = secret_evidence(secret(kms_key_id=OTHER_KEY_ARN))
    found = evidence(record=former, key=key_evidence(), secret=under)
    [(_, rule)] = rules(secret_problems(desired(), found, SETTINGS, ROLES))
    assert member in rule


def companion(**members: Any) -> CompanionEvidence:
    request = desired({"resource.sourceLocation": "news-origin"}).request
    known: dict[str, Any] = {"access_id": NEWS, "state": "active", "request": request}
    return CompanionEvidence(**known | members)


@pytest.mark.parametrize(
    "members",
    [
        {"state": None, "request": None},
        {"state": "active", "request": None},
        {"state": "rotating"},
        {"state": "unmanaged"},
        {"is_confirmed": False},
        {"request": desired({"resource.configure": False}).request},
    ],
)
def test_another_access_that_cannot_move_is_named(members: dict[str, Any]) -> None:
    [problem] = companion_problems([companion(), companion(**members)])
    assert (problem.path, NEWS in problem.rule) == (MOVE_PATH, True)


def test_a_move_changes_a_limited_number_of_accesses() -> None:
    assert [*companion_problems([companion()] * MOST_COMPANIONS)] == []
    assert [problem.path for problem in companion_problems([companion()] * (MOST_COMPANIONS + 1))] == [MOVE_PATH]


def test_the_rules_of_another_access_are_those_of_the_move() -> None:
    [problem] = problems_of_companion(NEWS, [Problem("resource.baseUrl", "is wrong: correct it")])
    assert (problem.path, NEWS in problem.rule, "resource.baseUrl" in problem.rule) == (MOVE_PATH, True, True)
