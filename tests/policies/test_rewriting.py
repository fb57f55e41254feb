"""Rewriting our part of a document: what others wrote stays, what nobody wants any more goes, and two forms of one are one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchkey import policies
from latchkey.policies import Document, Statement
from tests.policies.foreign import KEY_POLICIES, SECRET_POLICIES
from tests.policies.test_merging import (
    ROLES,
    as_set,
    documents,
    is_foreign,
    lists_of_one_as_text,
    properties,
    requests,
    said,
    statements,
)
from tests.unit.samples import EXISTING_ARN, PLACE, SECRET_ARN, desired

STAYS = "LatchkeyFormerDefaultKey"


@properties
@given(documents(), requests())
def test_exactly_these_statements_of_ours_are_left(before: Document | None, own: Sequence[Statement]) -> None:
    after = policies.replace_own(before, own)
    assert policies.own_statements(after) == list(own)
    assert [s for s in statements(after) if is_foreign(s)] == [s for s in statements(before) if is_foreign(s)]
    known = {"Statement": 0, "Version": "2012-10-17"}
    assert {**after, "Statement": 0} == ({**before, "Statement": 0} if before else known)
    assert policies.replace_own(after, own) == after


@properties
@given(documents(), requests())
def test_a_document_given_is_not_rewritten_in_place(before: Document | None, own: Sequence[Statement]) -> None:
    copies = copy.deepcopy((before, own))
    policies.replace_own(before, own, kept=(STAYS,))["Statement"].append({})
    policies.union([own, own])
    assert (before, own) == copies


@properties
@given(documents(), requests())
def test_undoing_a_request_leaves_the_foreign_statements_alone(before: Document | None, own: Sequence[Statement]) -> None:
    foreign = policies.replace_own(before, ())
    assert policies.replace_own(policies.merge(before, own), ()) == foreign
    assert policies.own_statements(foreign) == []


def test_the_rule_of_the_default_key_stays_where_it_is_kept() -> None:
    rule = policies.default_key_rule([SECRET_ARN], PLACE)
    before = policies.new_document([policies.delegation(PLACE), rule, *desired().key_statements])
    assert policies.replace_own(before, (), kept=(STAYS,)) == policies.new_document([policies.delegation(PLACE), rule])
    assert policies.replace_own(before, ()) == policies.new_document([policies.delegation(PLACE)])


def test_a_document_that_was_ours_alone_has_nothing_left() -> None:
    before = policies.new_document(desired().secret_statements(SECRET_ARN))
    assert policies.replace_own(before, ())["Statement"] == []
    assert policies.replace_own(None, ()) == policies.new_document(())


@properties
@given(documents(), st.booleans(), st.data())
def test_order_and_lists_of_one_make_no_difference(before: Document | None, as_text: bool, data: st.DataObject) -> None:
    other = data.draw(st.permutations(statements(before)))
    other = [lists_of_one_as_text(s) for s in other] if as_text else other
    assert policies.same_own(before, policies.new_document(other))
    assert policies.same_own(policies.new_document(other), before or policies.new_document(()))


@properties
@given(documents(), requests(), requests())
def test_two_documents_are_the_same_in_ours_only_if_they_say_the_same(
    before: Document | None, first: Sequence[Statement], second: Sequence[Statement]
) -> None:
    one, other = policies.replace_own(before, first), policies.replace_own(before, second)
    assert policies.same_own(one, other) == (said(one) == said(other))


@pytest.mark.parametrize(
    "change",
    [
        {"Principal": {"AWS": ROLES[:2]}},
        {"Action": ["kms:Decrypt", "kms:Encrypt"]},
        {"Resource": "arn:other"},
        {"Condition": {}},
        {"Sid": "LatchkeyOther"},
        {"Effect": "Deny"},
    ],
    ids=str,
)
def test_a_statement_of_ours_that_says_something_else_is_not_the_same(change: dict[str, Any]) -> None:
    own = policies.decryption(ROLES[:1], [SECRET_ARN], PLACE)
    one, other = policies.new_document([own]), policies.new_document([own | change])
    assert not policies.same_own(one, other)
    assert not policies.same_own(other, one)


@pytest.mark.parametrize(
    "change",
    [{"Principal": "*"}, {"NotPrincipal": {"AWS": ROLES[0]}}, {"NotAction": "kms:Encrypt"}, {"NotResource": "arn:other"}],
    ids=str,
)
def test_a_statement_of_ours_that_somebody_rewrote_in_another_form_is_not_the_same(change: dict[str, Any]) -> None:
    own = policies.use(ROLES[:1])
    replaced = {name.removeprefix("Not") for name in change}
    rewritten = {name: value for name, value in own.items() if name not in replaced} | change
    one, other = policies.new_document([rewritten]), policies.new_document([own])
    assert not policies.same_own(one, other)
    assert not policies.same_own(other, one)


def test_one_statement_more_or_less_is_not_the_same() -> None:
    both = policies.new_document(desired().key_statements)
    assert not policies.same_own(policies.new_document(both["Statement"][:1]), both)
    assert not policies.same_own(both, policies.new_document(both["Statement"][:1]))
    assert not policies.same_own(None, both)


@pytest.mark.parametrize("before", [*KEY_POLICIES.values(), *SECRET_POLICIES.values()], ids=[*KEY_POLICIES, *SECRET_POLICIES])
def test_what_others_say_makes_no_difference(before: Document) -> None:
    ours = policies.new_document(policies.own_statements(before))
    assert policies.same_own(before, ours)
    assert policies.same_own(ours, before)


contributions = st.lists(requests(), max_size=4)


@properties
@given(contributions)
def test_a_union_says_all_that_any_access_wants_and_no_more(wanted: list[tuple[Statement, ...]]) -> None:
    united = policies.union(wanted)
    every = [statement for own in wanted for statement in own]
    assert policies.missing_from(policies.new_document(united), every) == []
    assert len({s["Sid"] for s in united}) == len(united)
    for statement in united:
        named = [s for s in every if s["Sid"] == statement["Sid"]]
        assert as_set(statement["Principal"]["AWS"]) == set().union(*(as_set(s["Principal"]["AWS"]) for s in named))
        assert secrets_in(statement) == set().union(*(secrets_in(s) for s in named))


def secrets_in(statement: Statement) -> set[str]:
    return as_set(statement.get("Condition", {}).get("StringLike", {}).get("kms:EncryptionContext:SecretARN", []))


@properties
@given(contributions, st.data())
def test_a_union_is_the_same_in_any_order_and_with_repeats(wanted: list[tuple[Statement, ...]], data: st.DataObject) -> None:
    again = data.draw(st.permutations([*wanted, *wanted]))
    one, other = (policies.new_document(policies.union(several)) for several in (wanted, again))
    assert policies.same_own(one, other)


def test_of_nothing_the_union_is_nothing() -> None:
    assert policies.union([]) == policies.union([(), ()]) == []


def test_what_one_access_alone_wanted_goes_with_it_and_what_another_shares_stays() -> None:
    going = desired({"managementRoles": ROLES[:2], "key.users": ROLES[:1], "secret.value.existing.secretArn": EXISTING_ARN})
    staying = desired({"resource.sourceLocation": "news-origin", "managementRoles": ROLES[1:3]})
    before = policies.merge(going.new_key_policy, staying.key_statements)
    after = policies.replace_own(before, policies.union([staying.key_statements]), kept=("LatchkeyCreation",))
    assert policies.same_own(after, staying.new_key_policy)
    assert after["Statement"][0] == policies.delegation(PLACE)
    assert ROLES[0] not in str(after)
    assert EXISTING_ARN not in str(after)
