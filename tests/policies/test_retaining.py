"""Reducing our statements in a document keeps the statements of others and the wanted parts."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchkey import policies
from latchkey.policies import Document, Statement
from tests.policies.test_merging import (
    DELETED,
    ROLES,
    as_set,
    documents,
    is_foreign,
    properties,
    requests,
    statements,
)
from tests.unit.samples import EXISTING_ARN, PLACE, SECRET_ARN, desired

STAYS = "LatchkeyFormerDefaultKey"
BOTH = sorted([SECRET_ARN, EXISTING_ARN])
# Roles that decrypt secrets.
type Reading = tuple[Sequence[str], Sequence[str]]


def principals(statement: Statement) -> set[str]:
    """All principals of a statement."""
    named = statement.get("Principal", {})
    return set().union(*(as_set(names) for names in named.values())) if isinstance(named, dict) else as_set(named)


@properties
@given(documents(), requests())
def test_nothing_is_added_and_unwanted_parts_are_removed(before: Document | None, own: Sequence[Statement]) -> None:
    after, wanted = policies.retain(before, own), {statement["Sid"]: statement for statement in own}
    assert [s for s in statements(after) if is_foreign(s)] == [s for s in statements(before) if is_foreign(s)]
    for left in policies.own_statements(after):
        present = [s for s in policies.own_statements(before) if s["Sid"] == left["Sid"]]
        assert any(principals(left) <= principals(s) and secrets_in(left) <= secrets_in(s) for s in present)
        assert principals(left) <= principals(wanted[left["Sid"]])
        assert secrets_in(left) <= secrets_in(wanted[left["Sid"]]) or not secrets_in(wanted[left["Sid"]])
    known = {"Statement": 0, "Version": "2012-10-17"}
    assert {**after, "Statement": 0} == ({**before, "Statement": 0} if before else known)
    assert policies.retain(after, own) == after


@properties
@given(documents(), requests())
def test_wanted_parts_that_are_present_stay(before: Document | None, own: Sequence[Statement]) -> None:
    there = policies.merge(before, own)
    assert policies.missing_from(policies.retain(there, own), own) == []


@properties
@given(documents(), requests())
def test_retaining_does_not_modify_its_argument(before: Document | None, own: Sequence[Statement]) -> None:
    copies = copy.deepcopy((before, own))
    policies.retain(before, own, kept=(STAYS,))["Statement"].append({})
    policies.retain(policies.merge(before, own), own)
    policies.union([own, own])
    assert (before, own) == copies


@properties
@given(documents(), requests())
def test_undoing_a_request_keeps_the_statements_of_others(before: Document | None, own: Sequence[Statement]) -> None:
    foreign = policies.retain(before, ())
    assert policies.retain(policies.merge(before, own), ()) == foreign
    assert policies.own_statements(foreign) == []


def test_parts_that_an_owner_removed_are_not_added_again() -> None:
    wanted = desired({"managementRoles": ROLES[:2]}).key_statements
    assert policies.retain(policies.new_document([policies.delegation(PLACE)]), wanted) == policies.new_document(
        [policies.delegation(PLACE)]
    )
    narrowed = policies.new_document(desired({"managementRoles": ROLES[:1]}).key_statements)
    assert policies.retain(narrowed, wanted) == narrowed


def test_a_statement_without_a_wanted_secret_is_removed() -> None:
    there, other = (policies.decryption(ROLES[:1], [arn], PLACE) for arn in (SECRET_ARN, EXISTING_ARN))
    assert policies.retain(policies.new_document([there]), [other])["Statement"] == []
    without = {name: value for name, value in there.items() if name != "Condition"}
    assert policies.retain(policies.new_document([without]), [other])["Statement"] == [without]


def test_a_kept_sid_stays() -> None:
    rule = policies.default_key_rule([SECRET_ARN], PLACE)
    before = policies.new_document([policies.delegation(PLACE), rule, *desired().key_statements])
    assert policies.retain(before, (), kept=(STAYS,)) == policies.new_document([policies.delegation(PLACE), rule])
    assert policies.retain(before, ()) == policies.new_document([policies.delegation(PLACE)])


def test_retained_statements_have_no_deleted_principals() -> None:
    """AWS rejects a policy with a deleted principal, and the role that created a key is deleted with its stack."""
    rule = policies.default_key_rule([SECRET_ARN], PLACE)
    before = policies.new_document([policies.delegation(PLACE), policies.creation(DELETED[:1]), rule])
    kept = ("LatchkeyCreation", STAYS)
    assert policies.retain(before, (), kept=kept) == policies.new_document([policies.delegation(PLACE), rule])


def test_parts_of_another_access_are_beyond_the_known_ones() -> None:
    one = desired({"managementRoles": ROLES[:1], "key.users": ROLES[:1]})
    other = desired({"resource.sourceLocation": "news-origin", "managementRoles": ROLES[1:2], "key.administrators": ROLES[1:2]})
    both = policies.merge(one.new_key_policy, other.key_statements)
    left = {statement["Sid"]: statement for statement in policies.beyond(both, one.key_statements)}
    assert set(left) == {
        "LatchkeyAdministrators",
        "LatchkeyCreation",
        "LatchkeyMediatailorManagement",
        "LatchkeySecretDecryption",
    }
    decrypting = left["LatchkeySecretDecryption"]
    assert decrypting["Principal"] == {"AWS": [ROLES[1]]}
    assert secrets_in(decrypting) == {policies.KEY_VALIDATION, other.secrets_pattern}


@pytest.mark.parametrize(("there", "wanted", "left"), [
    ((ROLES[:1], BOTH), (ROLES[:1], [SECRET_ARN]), (ROLES[:1], [EXISTING_ARN])),
    ((ROLES[:2], [SECRET_ARN]), (ROLES[:1], [SECRET_ARN]), (ROLES[1:2], [SECRET_ARN])),
    ((ROLES[:2], BOTH), (ROLES[:1], [SECRET_ARN]), (ROLES[1:2], [EXISTING_ARN])),
])  # fmt: skip
def test_a_shared_principal_or_secret_counts_for_the_other_access(there: Reading, wanted: Reading, left: Reading) -> None:
    document = policies.new_document([policies.decryption(*there, PLACE)])
    assert policies.beyond(document, [policies.decryption(*wanted, PLACE)]) == [policies.decryption(*left, PLACE)]


def test_deleted_principals_are_not_beyond_the_known_ones() -> None:
    wanted = policies.use(ROLES[:1])
    there = policies.new_document([policies.use([ROLES[0], DELETED[0]]), policies.administration(DELETED)])
    assert policies.beyond(there, [wanted]) == policies.beyond(None, [wanted]) == []


@properties
@given(documents(), requests())
def test_parts_beyond_a_request_stay_the_same_without_it(before: Document, own: tuple[Statement, ...]) -> None:
    after = policies.merge(before, own)
    assert policies.beyond(policies.retain(after, policies.beyond(after, own)), own) == policies.beyond(after, own)


def test_a_document_with_only_our_statements_becomes_empty() -> None:
    before = policies.new_document(desired().secret_statements(SECRET_ARN))
    assert policies.retain(before, ())["Statement"] == []
    assert policies.retain(None, ()) == policies.new_document(())


contributions = st.lists(requests(), max_size=4)


@properties
@given(contributions)
def test_a_union_contains_exactly_what_any_access_wants(wanted: list[tuple[Statement, ...]]) -> None:
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
    assert [policies.missing_from(*both) for both in ((one, other["Statement"]), (other, one["Statement"]))] == [[], []]


def test_an_empty_union_is_empty() -> None:
    assert policies.union([]) == policies.union([(), ()]) == []


def test_removing_an_access_keeps_the_parts_that_others_share() -> None:
    going = desired({"managementRoles": ROLES[:2], "key.users": ROLES[:1], "secret.value.existing.secretArn": EXISTING_ARN})
    staying = desired({"resource.sourceLocation": "news-origin", "managementRoles": ROLES[1:3]})
    before = policies.merge(going.new_key_policy, staying.key_statements)
    after = policies.retain(before, policies.union([staying.key_statements]), kept=("LatchkeyCreation",))
    assert policies.missing_from(after, staying.new_key_policy["Statement"]) == []
    assert policies.missing_from(staying.new_key_policy, after["Statement"]) == []
    assert after["Statement"][0] == policies.delegation(PLACE)
    assert ROLES[0] not in str(after)
    assert EXISTING_ARN not in str(after)
