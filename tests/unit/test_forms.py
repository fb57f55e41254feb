"""What tokens are made of: every made token keeps the rule of its form, and what breaks a rule is judged so."""

from __future__ import annotations

import string
from uuid import UUID as Uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchkey.systems.token_formats import ANY, HEXADECIMAL, PASSWORD, UUID, TokenFormat
from tests.unit.samples import KINDS, desired

SYMBOLS = "!@#$%^&*()_+-=[]{}|'"
CLASSES = (string.ascii_uppercase, string.ascii_lowercase, string.digits, SYMBOLS)
unhurried = settings(deadline=None, database=None)


@unhurried
@given(st.sampled_from([kind for kind in KINDS if desired(kind=kind).reads_secret]), st.data())
def test_a_made_token_has_the_length_and_the_form_that_its_system_asks_for(kind: str, data: st.DataObject) -> None:
    shape = desired(kind=kind).secret_shape
    assert shape
    length = data.draw(st.integers(*shape.generated))
    token = shape.format.make(length)
    assert len(token) == length
    assert shape.minimum <= length <= shape.maximum
    assert shape.format.holds(token)


@pytest.mark.parametrize("form", [ANY, UUID, HEXADECIMAL, PASSWORD])
def test_no_token_is_made_twice(form: TokenFormat) -> None:
    assert len({form.make(32) for _ in range(100)}) == 100


def test_what_is_advised_for_cdn_authorization_is_a_random_uuid() -> None:
    assert Uuid(UUID.make(36)).version == 4


@unhurried
@given(st.integers(10, 80))
def test_a_made_password_holds_every_class(length: int) -> None:
    token = PASSWORD.make(length)
    assert all(set(token) & set(members) for members in CLASSES)


@unhurried
@given(st.text(string.hexdigits, min_size=1), st.text(min_size=1))
def test_a_static_key_is_hexadecimal_and_nothing_else(digits: str, other: str) -> None:
    assert HEXADECIMAL.holds(digits)
    assert HEXADECIMAL.holds(digits + other) == (set(other) <= set(string.hexdigits))


@pytest.mark.parametrize("token", ["", "0x12", "ab\n", "zz", "１２"])  # noqa: RUF001  digits, but no hexadecimal ones
def test_what_only_resembles_hexadecimal_digits_is_none(token: str) -> None:
    assert not HEXADECIMAL.holds(token)


@unhurried
@given(st.sets(st.sampled_from(CLASSES), min_size=1), st.integers(0, 3))
def test_a_password_needs_three_classes(classes: set[str], place: int) -> None:
    token = "".join(members[place] for members in classes) * 10
    assert PASSWORD.holds(token) == (len(classes) >= 3)


@pytest.mark.parametrize("foreign", [" ", "\n", "é", "~", '"', "/"])
def test_a_password_with_a_character_that_is_not_allowed_is_none(foreign: str) -> None:
    assert PASSWORD.holds("Aa1!Aa1!Aa1!")
    assert not PASSWORD.holds(f"Aa1!Aa1!{foreign}Aa1!")


@unhurried
@given(st.text())
def test_where_any_value_is_taken_any_is_judged_good(token: str) -> None:
    assert ANY.holds(token)
    assert UUID.holds(token)
