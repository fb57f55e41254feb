"""Merging into any document keeps the statements of others, adds ours, and is idempotent."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchkey import policies
from latchkey.errors import Conflict
from latchkey.policies import Document, Statement
from tests.policies.foreign import KEY_POLICIES, SECRET_POLICIES
from tests.unit.samples import EXISTING_ARN, PLACE, SECRET_ARN, desired, role

properties = settings(deadline=None, database=None, max_examples=50)

ROLES = [role(name) for name in "ABCDE"]
some_roles = st.lists(st.sampled_from(ROLES), max_size=3, unique=True)


def requests() -> st.SearchStrategy[tuple[Statement, ...]]:
    """Our key statements for a request, with or without the rule of the default key."""

    def statements(
        managers: list[str], readers: list[str], admins: list[str], users: list[str], name: str, leaving: bool
    ) -> Any:
        wanted = desired(
            {
                "resource.sourceLocation": name,
                "managementRoles": managers,
                "secret.originReaders": readers,
                "key.administrators": admins,
                "key.users": users,
            }
        )
        former = [policies.default_key_rule([EXISTING_ARN if name == "a" else SECRET_ARN], PLACE)] if leaving else []
        return (*wanted.key_statements, *former)

    return st.builds(statements, some_roles, some_roles, some_roles, some_roles, st.sampled_from(["a", "b"]), st.booleans())


foreign_statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Action": st.sampled_from(["kms:*", "kms:Decrypt", ["kms:Decrypt", "kms:DescribeKey"], ["kms:Decrypt", "kms:Decrypt"]]),
        "Resource": st.sampled_from(["*", ["*"]]),
    },
    optional={
        "Sid": st.sampled_from(["", "Access", "Access again", "latchkey", "NotLatchkey"]),
        "Principal": st.sampled_from(["*", {"AWS": "*"}, {"AWS": ROLES[:1]}, {"AWS": ROLES[0]}, {"Service": ["a", "b"]}]),
        "NotPrincipal": st.just({"AWS": ROLES[0]}),
        "Condition": st.sampled_from([{}, {"Bool": {"aws:SecureTransport": "false"}}]),
    },
)


@st.composite
def documents(draw: st.DrawFn) -> Document | None:
    """A document before the merge: statements of others in any form, and ours of another request."""
    if draw(st.booleans()) and draw(st.booleans()):
        return None
    foreign: list[Statement] = draw(st.lists(foreign_statements, max_size=4))
    foreign += draw(st.sampled_from([[], foreign[:1]]))
    own = draw(st.one_of(st.just(()), requests()))
    mixed = copy.deepcopy(draw(st.permutations([*foreign, *own])))
    if draw(st.booleans()):
        mixed = [lists_of_one_as_text(statement) for statement in mixed]
    alone = len(mixed) == 1 and draw(st.booleans())
    return {"Version": "2012-10-17", "Statement": mixed[0] if alone else mixed} | draw(st.sampled_from([{}, {"Id": "key-1"}]))


def lists_of_one_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: lists_of_one_as_text(inner) for name, inner in value.items()}
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def statements(document: Document | None) -> list[Statement]:
    found = (document or {}).get("Statement", [])
    return found if isinstance(found, list) else [found]


def is_foreign(statement: Statement) -> bool:
    return not statement.get("Sid", "").startswith("Latchkey")


def as_set(value: Any) -> set[str]:
    return set(value) if isinstance(value, list) else {value}


@properties
@given(documents(), requests())
def test_every_statement_of_others_keeps_its_content_and_position(before: Document | None, own: Sequence[Statement]) -> None:
    after = policies.merge(before, own)
    assert [s for s in statements(after) if is_foreign(s)] == [s for s in statements(before) if is_foreign(s)]
    # The first statements keep their positions, and ours follow.
    assert [s.get("Sid") for s in statements(after)][: len(statements(before))] == [s.get("Sid") for s in statements(before)]
    known = {"Statement": 0, "Version": "2012-10-17"}
    assert {**after, "Statement": 0} == ({**before, "Statement": 0} if before else known)


@properties
@given(documents(), requests())
def test_nothing_is_missing_afterwards(before: Document | None, own: Sequence[Statement]) -> None:
    assert policies.missing_from(policies.merge(before, own), own) == []


@properties
@given(documents(), requests())
def test_merging_twice_is_merging_once(before: Document | None, own: Sequence[Statement]) -> None:
    once = policies.merge(before, own)
    assert policies.merge(once, own) == once


@properties
@given(documents(), requests())
def test_a_document_that_lacks_nothing_is_not_touched(before: Document | None, own: Sequence[Statement]) -> None:
    after = policies.merge(before, own)
    assert (after == before) == (before is not None and policies.missing_from(before, own) == [])


@properties
@given(documents(), requests())
def test_merging_does_not_modify_its_argument(before: Document | None, own: Sequence[Statement]) -> None:
    copies = copy.deepcopy((before, own))
    after = policies.merge(before, own)
    for statement in statements(after):
        statement["Effect"] = "changed"
    assert (before, own) == copies


@properties
@given(documents(), requests())
def test_our_statements_keep_their_principals_and_secrets(before: Document | None, own: Sequence[Statement]) -> None:
    after = {statement["Sid"]: statement for statement in statements(policies.merge(before, own)) if not is_foreign(statement)}
    for former in (s for s in statements(before) if not is_foreign(s)):
        assert as_set(former["Principal"]["AWS"]) <= as_set(after[former["Sid"]]["Principal"]["AWS"])
        secrets = former.get("Condition", {}).get("StringLike", {}).get("kms:EncryptionContext:SecretARN", [])
        if secrets:
            present = after[former["Sid"]]["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"]
            assert as_set(secrets) <= as_set(present)


def said(document: Document) -> dict[str, Any]:
    """Our statements by Sid, independent of their order and the order of their values."""
    ours = [s for s in statements(document) if not is_foreign(s)]
    assert len({s["Sid"] for s in ours}) == len(ours)
    return {s["Sid"]: _sets(s) for s in ours}


def _sets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sets(inner) for name, inner in value.items()}
    return frozenset(as_set(value))


@properties
@given(documents(), requests(), requests())
def test_the_order_of_two_requests_does_not_matter(
    before: Document | None, first: Sequence[Statement], second: Sequence[Statement]
) -> None:
    one = policies.merge(policies.merge(before, first), second)
    other = policies.merge(policies.merge(before, second), first)
    assert said(one) == said(other)
    assert policies.missing_from(one, [*first, *second]) == []


@properties
@given(some_roles, some_roles, st.booleans())
def test_the_order_of_two_requests_does_not_matter_for_a_secret(managers: list[str], readers: list[str], again: bool) -> None:
    own = desired({"managementRoles": managers, "secret.originReaders": readers}).secret_statements(SECRET_ARN)
    for before in SECRET_POLICIES.values():
        after = policies.merge(policies.merge(before, own) if again else before, own)
        assert [s for s in statements(after) if is_foreign(s)] == [s for s in statements(before) if is_foreign(s)]
        assert policies.missing_from(after, own) == []


def test_two_requests_that_differ_in_deletion_both_keep_their_statements() -> None:
    allowing = desired({"key.administrators": [ROLES[0]], "key.allowDeletion": True})
    refusing = desired({"key.administrators": [ROLES[1]]})
    both = policies.merge(allowing.new_key_policy, refusing.key_statements)
    assert policies.missing_from(both, allowing.key_statements) == []
    assert policies.missing_from(both, refusing.key_statements) == []


def test_deletion_is_not_allowed_for_administrators_of_an_earlier_request() -> None:
    refusing = desired({"key.administrators": [ROLES[0]]})
    allowing = desired({"key.administrators": [ROLES[1]], "key.allowDeletion": True})
    both = policies.merge(refusing.new_key_policy, allowing.key_statements)
    may_delete = [s for s in statements(both) if "kms:ScheduleKeyDeletion" in as_set(s["Action"])]
    assert [s["Principal"]["AWS"] for s in may_delete] == [[ROLES[1]]]


def test_an_extended_statement_keeps_principals_of_another_type() -> None:
    [_, decryption] = desired().key_statements
    decryption["Principal"]["Service"] = "backup.amazonaws.com"
    before = policies.new_document([decryption])
    after = policies.merge(before, desired({"managementRoles": [ROLES[0]]}).key_statements)
    [widened] = [s for s in statements(after) if s["Sid"] == "LatchkeySecretDecryption"]
    assert widened["Principal"].get("Service") == "backup.amazonaws.com"


DELETED = ["AROAEXAMPLE1234567890", "AIDAEXAMPLE1234567890"]


@pytest.mark.parametrize("present", [DELETED[0], DELETED[1], [DELETED[0]], [*DELETED, ROLES[1]], [ROLES[1], *DELETED]], ids=str)
def test_an_extended_statement_drops_deleted_principals(present: str | list[str]) -> None:
    before = policies.new_document([policies.use([ROLES[1]]) | {"Principal": {"AWS": present}}])
    [users] = statements(policies.merge(before, [policies.use([ROLES[0]])]))
    assert users["Principal"] == {"AWS": [ROLES[0], *([ROLES[1]] if ROLES[1] in present else [])]}


GRIEVED = policies.use([ROLES[1]])


@pytest.mark.parametrize(
    ("principal", "living"),
    [
        ({"AWS": [*DELETED, ROLES[1]]}, {"AWS": [ROLES[1]]}),
        ({"AWS": [ROLES[1], DELETED[0], ROLES[0]]}, {"AWS": [ROLES[1], ROLES[0]]}),
        ({"AWS": DELETED[0], "Service": "backup.amazonaws.com"}, {"Service": ["backup.amazonaws.com"]}),
    ],
    ids=["some of many", "in their order", "all of a kind"],
)
def test_every_update_drops_deleted_principals_from_all_our_statements(
    principal: dict[str, Any], living: dict[str, Any]
) -> None:
    before = policies.new_document([GRIEVED | {"Principal": principal}])
    users, written = statements(policies.merge(before, [policies.deletion([ROLES[0]])]))
    assert users == GRIEVED | {"Principal": living}
    assert written == policies.deletion([ROLES[0]])


@pytest.mark.parametrize("nobody", [DELETED[0], DELETED[1:], DELETED], ids=str)
def test_our_statement_without_a_remaining_principal_is_removed(nobody: str | list[str]) -> None:
    wanted = policies.deletion([ROLES[0]])
    before = policies.new_document([policies.delegation(PLACE), GRIEVED | {"Principal": {"AWS": nobody}}])
    assert statements(policies.merge(before, [wanted])) == [policies.delegation(PLACE), wanted]


def test_a_deleted_principal_alone_causes_no_update() -> None:
    wanted = policies.deletion([ROLES[0]])
    before = policies.new_document([GRIEVED | {"Principal": {"AWS": DELETED}}, wanted])
    assert policies.merge(before, [wanted]) == before


@st.composite
def bereaved(draw: st.DrawFn) -> Document:
    """A document in which some or all principals, of our statements and of others, were deleted."""
    document = draw(documents()) or policies.new_document(())
    for statement in statements(document):
        named = statement.get("Principal")
        if isinstance(named, dict):
            left = [*as_set(named["AWS"])] if "AWS" in named else []
            dead = draw(st.lists(st.sampled_from(DELETED), unique=True))
            gone = draw(st.booleans()) and dead
            if dead:
                statement["Principal"] = {**named, "AWS": draw(st.permutations(dead if gone else [*left, *dead]))}
    return document


@properties
@given(bereaved(), requests())
def test_an_updated_document_has_deleted_principals_only_in_statements_of_others(
    before: Document, own: Sequence[Statement]
) -> None:
    after = policies.merge(before, own)
    ours = [s for s in statements(after) if not is_foreign(s)]
    assert [s for s in statements(after) if is_foreign(s)] == [s for s in statements(before) if is_foreign(s)]
    assert policies.missing_from(after, own) == []
    assert policies.merge(after, own) == after
    if after != before:
        assert all(as_set(names) and not as_set(names) & set(DELETED) for s in ours for names in s["Principal"].values())
    living = {s["Sid"] for s in statements(before) if not is_foreign(s) and as_set(s["Principal"]["AWS"]) - set(DELETED)}
    assert {s["Sid"] for s in ours} >= living | {s["Sid"] for s in own}


def test_a_role_whose_name_resembles_a_unique_id_stays() -> None:
    living = [role(DELETED[0]), role("AROA")]
    [users] = statements(policies.merge(policies.new_document([policies.use(living)]), [policies.use([ROLES[0]])]))
    assert users["Principal"] == {"AWS": sorted([*living, ROLES[0]])}


def test_a_deleted_principal_in_a_statement_of_others_stays() -> None:
    foreign = {"Effect": "Allow", "Principal": {"AWS": DELETED}, "Action": "kms:Decrypt", "Resource": "*"}
    after = policies.merge(policies.new_document([foreign]), [policies.use([ROLES[0]])])
    assert statements(after)[0] == foreign


@pytest.mark.parametrize(
    "change",
    [
        {"Action": ["kms:CreateGrant", "kms:Decrypt"]},
        {"Action": "kms:*"},
        {"Resource": ["*", "other"]},
        {"Condition": {}},
        {"Condition": {"StringEquals": {"kms:ViaService": "ec2.eu-west-1.amazonaws.com"}}},
        {"Condition": {"StringEquals": {"kms:ViaService": ["mediatailor.eu-west-1.amazonaws.com", "ec2"]}}},
        {"Condition": {"StringLike": {"kms:ViaService": "mediatailor.eu-west-1.amazonaws.com"}}},
        {"NotPrincipal": {"AWS": ROLES[0]}},
        {"Principal": {"AWS": []}},
        {"Principal": {"Service": "mediatailor.amazonaws.com"}},
    ],
    ids=str,
)
def test_a_modified_statement_of_ours_is_corrected(change: dict[str, Any]) -> None:
    wanted = desired().key_statements
    before = policies.new_document([wanted[0] | change, wanted[1]])
    assert policies.missing_from(before, wanted) == ["LatchkeyMediatailorManagement"]
    after = policies.merge(before, wanted)
    assert policies.missing_from(after, wanted) == []
    assert statements(after)[1] == wanted[1]


def test_a_deny_statement_with_our_sid_is_a_conflict() -> None:
    wanted = desired().key_statements
    before = policies.new_document([wanted[0] | {"Effect": "Deny"}, wanted[1]])
    with pytest.raises(Conflict, match="LatchkeyMediatailorManagement"):
        policies.merge(before, wanted)


@pytest.mark.parametrize("before", [*KEY_POLICIES.values(), *SECRET_POLICIES.values()], ids=[*KEY_POLICIES, *SECRET_POLICIES])
def test_our_statements_are_recognized_by_their_sid(before: Document) -> None:
    assert policies.own_statements(before) == [s for s in statements(before) if not is_foreign(s)]


def test_a_missing_document_contains_none_of_our_statements() -> None:
    wanted = desired().secret_statements(SECRET_ARN)
    assert policies.own_statements(None) == []
    assert policies.missing_from(None, wanted) == ["LatchkeyMediatailorReading"]


def _former(name: str) -> tuple[Statement, ...]:
    """The key statements of an access of that name, as versions before 0.2.0 wrote them."""
    return desired({"resource.sourceLocation": name}).needed_key_statements


def _secrets(document: Document) -> list[str]:
    [statement] = [s for s in policies.statements_of(document) if s.get("Sid") == "LatchkeySecretDecryption"]
    secrets: list[str] = statement["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"]
    return secrets


PREFIX = PLACE.arn("secretsmanager", "secret:latchkey/*")


def test_accesses_with_the_same_roles_have_the_same_key_statements() -> None:
    sports, news = desired(), desired({"resource.sourceLocation": "news-origin"})

    assert sports.key_statements == news.key_statements
    assert policies.missing_from(sports.new_key_policy, news.key_share().needed) == []


def test_a_policy_of_a_former_version_admits_its_access_and_needs_no_change() -> None:
    document = policies.new_document(_former("a"))

    assert policies.missing_from(document, desired({"resource.sourceLocation": "a"}).key_share().needed) == []
    assert policies.missing_from(document, desired({"resource.sourceLocation": "b"}).key_share().needed) != []


def test_statements_of_a_former_version_are_replaced_by_the_next_write() -> None:
    document = policies.merge(policies.new_document(_former("a")), _former("b"))
    third = desired({"resource.sourceLocation": "c"}).key_share()

    migrated = policies.merge(document, third.written, policies.union([_former("a"), _former("b"), third.needed]))

    assert _secrets(migrated) == [policies.KEY_VALIDATION, PREFIX]
    for name in "abc":
        assert policies.missing_from(migrated, desired({"resource.sourceLocation": name}).key_share().needed) == []


def test_a_secret_that_this_registry_does_not_know_stays_in_the_policy() -> None:
    """It can belong to another stack, which would lose its readers when this one removes its own pattern."""
    document = policies.merge(policies.new_document(_former("a")), _former("of-another-stack"))
    third = desired({"resource.sourceLocation": "c"}).key_share()

    migrated = policies.merge(document, third.written, policies.union([_former("a"), third.needed]))

    assert len({*_secrets(migrated)} - {policies.KEY_VALIDATION}) == 2
    assert policies.missing_from(migrated, _former("of-another-stack")) == []


def test_an_adopted_secret_without_the_prefix_is_named_alone() -> None:
    adopting = desired({"secret.value": {"existing": {"secretArn": EXISTING_ARN}}})

    assert _secrets(policies.new_document(adopting.key_statements)) == [policies.KEY_VALIDATION, EXISTING_ARN]
    assert _secrets(policies.new_document(adopting.needed_key_statements)) == [EXISTING_ARN]


@pytest.mark.parametrize("there", ["former", "present"])
def test_removing_the_last_access_removes_both_forms(there: str) -> None:
    wanted = desired({"resource.sourceLocation": "a"})
    document = policies.new_document(_former("a") if there == "former" else wanted.key_statements)

    assert policies.beyond(document, wanted.known_key_statements) == []
    assert policies.statements_of(policies.retain(document, ())) == []


def test_removing_an_access_keeps_what_the_former_statements_of_another_one_admit() -> None:
    one, other = desired({"resource.sourceLocation": "a"}), desired({"resource.sourceLocation": "b"})
    document = policies.merge(policies.new_document(_former("a")), _former("b"))

    left = policies.retain(
        document, policies.union([other.known_key_statements, policies.beyond(document, one.known_key_statements)])
    )

    assert policies.missing_from(left, other.key_share().needed) == []
    assert _secrets(left) == [other.secret_arn_pattern]


@pytest.mark.parametrize(
    ("pattern", "value", "includes"),
    [
        ("arn:x:secret:latchkey/*", "arn:x:secret:latchkey/a-??????", True),
        ("arn:x:secret:latchkey/a-??????", "arn:x:secret:latchkey/a-AbCdEf", True),
        ("arn:x:secret:latchkey/a-??????", "arn:x:secret:latchkey/a-*", False),
        ("arn:x:secret:latchkey/sports/*", "arn:x:secret:latchkey/*", False),
        ("arn:x:secret:latchkey/*", "arn:x:secret:latchkey", False),
        ("arn:x:secret:a[b]*", "arn:x:secret:ab", False),
    ],
)
def test_a_pattern_admits_only_what_it_matches_whole(pattern: str, value: str, includes: bool) -> None:
    document = policies.new_document([policies.decryption(ROLES[:1], [pattern], PLACE)])

    assert (policies.missing_from(document, [policies.decryption(ROLES[:1], [value], PLACE)]) == []) is includes


def test_an_equal_condition_is_no_pattern() -> None:
    present, wanted = ({"Sid": "LatchkeyX", "Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*",
                        "Condition": {"StringEquals": {"aws:PrincipalArn": [value]}}} for value in ("*", "a"))  # fmt: skip

    assert not policies.includes(present, wanted)


def test_a_key_policy_of_a_hundred_accesses_is_as_long_as_one_of_two() -> None:
    document: Document | None = None
    lengths = set()
    for number in range(1, 101):
        document = policies.merge(document, desired({"resource.sourceLocation": f"channel-{number}"}).key_share().written)
        lengths.add(len(policies.text_of(document)))

    assert len(lengths) == 1
