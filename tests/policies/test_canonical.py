"""Documents with the same meaning are the same, in whatever form AWS returns them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchkey import policies
from latchkey.policies import Document, Statement, is_same
from tests.policies.test_merging import documents, requests
from tests.unit.samples import role

properties = settings(deadline=None, database=None, max_examples=100)
ACCOUNT = "111122223333"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
DELETED = "AROAEXAMPLEEXAMPLE123"
READING: Statement = {
    "Sid": "Reading",
    "Effect": "Allow",
    "Principal": {"AWS": [role("A"), ROOT]},
    "Action": ["kms:Decrypt", "kms:DescribeKey"],
    "Resource": "*",
    "Condition": {"StringLike": {"aws:PrincipalArn": ["a", "b"]}, "Bool": {"aws:ViaAWSService": "true"}},
}
PARTNER: Statement = {
    "Effect": "Deny",
    "NotPrincipal": {"AWS": "*"},
    "NotAction": "kms:*",
    "NotResource": ["*"],
    "Condition": {"NumericLessThan": {"kms:RotationPeriodInDays": "90"}},
}


def document(*statements: Statement, **members: Any) -> Document:
    return {"Version": "2012-10-17", "Statement": [*statements]} | members


@st.composite
def reshaped(draw: st.DrawFn, original: Document | None) -> Document | None:
    """A document with the same meaning: other orders, a text for a list of one or the reverse, an account for its root."""
    if original is None:
        return None
    found = [draw(reshaped_statement(one)) for one in policies.statements_of(original)]
    statements = draw(st.permutations(found))
    alone = len(statements) == 1 and draw(st.booleans())
    members = draw(st.permutations([*original]))
    return {name: original[name] for name in members} | {"Statement": statements[0] if alone else statements}


@st.composite
def reshaped_statement(draw: st.DrawFn, original: Statement) -> Statement:
    form = draw(reshaped_values(copy.deepcopy(original)))
    for member in {"Principal", "NotPrincipal"} & form.keys():
        if form[member] in ("*", {"AWS": "*"}, {"AWS": ["*"]}):
            form[member] = draw(st.sampled_from(["*", {"AWS": "*"}, {"AWS": ["*"]}]))
    if form.get("Condition") == {} and draw(st.booleans()):
        del form["Condition"]
    return {name: form[name] for name in draw(st.permutations([*form]))}


@st.composite
def reshaped_values(draw: st.DrawFn, value: Any, member: str = "") -> Any:
    if isinstance(value, dict):
        return {name: draw(reshaped_values(inner, name)) for name, inner in value.items()}
    if member in ("Sid", "Effect", "Principal", "NotPrincipal"):
        return value
    held: list[Any] = value if isinstance(value, list) else [value]
    items = draw(st.permutations(held))
    forms = [draw(st.sampled_from(_forms(item, member))) for item in items]
    return forms[0] if len(forms) == 1 and draw(st.booleans()) else forms


def _forms(item: Any, member: str) -> list[Any]:
    known: dict[str, list[Any]] = {"true": [True], "false": [False], "90": [90], ROOT: [ACCOUNT]}
    return [item, *known.get(item, [])] if member != "Action" else [item, item.upper().replace("KMS:", "kms:")]


def samples() -> st.SearchStrategy[Document | None]:
    return st.one_of(documents(), st.just(document(READING, PARTNER)), st.just(document(PARTNER, Id="key-1")))


@properties
@given(st.data())
def test_a_reshaped_document_is_the_same(data: st.DataObject) -> None:
    original = data.draw(samples())
    form = data.draw(reshaped(original))

    assert is_same(original, form)
    assert is_same(form, original)


@properties
@given(st.data())
def test_a_document_that_aws_returns_in_another_form_needs_no_change(data: st.DataObject) -> None:
    own = data.draw(requests())
    merged = policies.merge(data.draw(documents()), own)
    form = data.draw(reshaped(merged))
    assert form

    assert policies.missing_from(form, own) == []
    assert policies.merge(form, own) == form
    assert policies.beyond(policies.new_document(own), policies.own_statements(form)) == []


@properties
@given(st.data())
def test_our_statements_are_removed_from_a_document_in_another_form(data: st.DataObject) -> None:
    before, own = data.draw(documents()), data.draw(requests())
    sids = {statement["Sid"] for statement in policies.own_statements(before)}
    merged = policies.merge(before, own)

    straight = policies.retain(merged, policies.beyond(merged, own), kept=[*sids])
    form = data.draw(reshaped(merged))

    assert is_same(policies.retain(form, policies.beyond(form, own), kept=[*sids]), straight)


@properties
@given(st.data())
def test_a_document_in_another_form_is_merged_with_the_same_result(data: st.DataObject) -> None:
    before, own = data.draw(documents()), data.draw(requests())
    form = data.draw(reshaped(before))

    assert is_same(policies.merge(form, own), policies.merge(before, own))


OTHERS: dict[str, Document | None] = {
    "no document": None,
    "no statement": document(),
    "another version": document(READING, Version="2008-10-17"),
    "an id": document(READING, Id="key-1"),
    "another Sid": document(READING | {"Sid": "Other"}),
    "no Sid": document({name: value for name, value in READING.items() if name != "Sid"}),
    "another effect": document(READING | {"Effect": "Deny"}),
    "another principal": document(READING | {"Principal": {"AWS": [role("B"), ROOT]}}),
    "one more principal": document(READING | {"Principal": {"AWS": [role("A"), role("B"), ROOT]}}),
    "a deleted role": document(READING | {"Principal": {"AWS": [DELETED, ROOT]}}),
    "a service": document(READING | {"Principal": {"Service": [role("A"), ROOT]}}),
    "the negation": document({("NotAction" if n == "Action" else n): value for n, value in READING.items()}),
    "fewer actions": document(READING | {"Action": "kms:Decrypt"}),
    "another resource": document(READING | {"Resource": "arn:aws:kms:us-east-1:111122223333:key/1"}),
    "no condition": document({name: value for name, value in READING.items() if name != "Condition"}),
    "another value": document(READING | {"Condition": {"Bool": {"aws:ViaAWSService": "false"}}}),
    "one more statement": document(READING, PARTNER),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_document_with_another_meaning_is_another_one(other: Document | None) -> None:
    assert not is_same(document(READING), other)


@pytest.mark.parametrize(
    ("operator", "one", "other", "are_same"),
    [
        ("Bool", "True", True, True),
        ("BoolIfExists", ["true"], "TRUE", True),
        ("ForAllValues:StringEqualsIgnoreCase", ["A", "b"], ["B", "a"], True),
        ("StringEquals", "A", "a", False),
        ("NumericEquals", 5, "5", True),
        ("StringEquals", "111122223333", "arn:aws:iam::111122223333:root", False),
    ],
)
def test_condition_values_are_compared_as_their_operator_does(operator: str, one: Any, other: Any, are_same: bool) -> None:
    first, second = (document(READING | {"Condition": {operator: {"a": value}}}) for value in (one, other))
    assert is_same(first, second) is are_same


def test_operators_and_keys_are_not_case_sensitive() -> None:
    first = document(READING | {"Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}})
    assert is_same(first, document(READING | {"Condition": {"stringequals": {"AWS:sourceaccount": [ACCOUNT]}}}))


def test_a_document_without_a_version_has_the_first_version() -> None:
    assert is_same({"Statement": READING}, document(READING, Version="2008-10-17"))


def test_documents_in_settings_are_compared_as_documents_or_as_text() -> None:
    form = {"Policy": policies.text_of(document(READING)), "Other": None, "Name": "a"}
    members = ["Policy", "Other"]
    assert policies.comparable(form, members) == policies.comparable(form | {"Policy": document(READING)}, members)
    assert policies.comparable(form, members) != policies.comparable(form | {"Name": "b"}, members)


def test_the_principals_of_a_document_are_its_roles_and_users() -> None:
    user = role("A").replace(":role/", ":user/")
    named = document(
        READING, READING | {"Principal": {"AWS": user, "Service": "a.amazonaws.com"}}, READING | {"Principal": "*"}
    )
    assert policies.named_principals(named) == [role("A"), user]
