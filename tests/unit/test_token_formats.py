"""Generated tokens have their format, and tokens with another format are rejected."""

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
def test_a_generated_token_has_the_length_and_format_of_its_system(kind: str, data: st.DataObject) -> None:
    shape = desired(kind=kind).secret_shape
    assert shape
    length = data.draw(st.integers(*shape.generated))
    token = shape.format.make(length)
    assert len(token) == length
    assert shape.minimum <= length <= shape.maximum
    assert shape.format.holds(token)


@pytest.mark.parametrize("form", [ANY, UUID, HEXADECIMAL, PASSWORD])
def test_no_token_is_generated_twice(form: TokenFormat) -> None:
    assert len({form.make(32) for _ in range(100)}) == 100


def test_a_token_for_cdn_authorization_is_a_random_uuid() -> None:
    assert Uuid(UUID.make(36)).version == 4


@unhurried
@given(st.integers(10, 80))
def test_a_generated_password_has_every_character_class(length: int) -> None:
    token = PASSWORD.make(length)
    assert all(set(token) & set(members) for members in CLASSES)


@unhurried
@given(st.text(string.hexdigits, min_size=1), st.text(min_size=1))
def test_a_static_key_has_only_hexadecimal_digits(digits: str, other: str) -> None:
    assert HEXADECIMAL.holds(digits)
    assert HEXADECIMAL.holds(digits + other) == (set(other) <= set(string.hexdigits))


@pytest.mark.parametrize("token", ["", "0x12", "ab\n", "zz", "１２"])  # noqa: RUF001  digits, but no hexadecimal ones
def test_characters_that_resemble_hexadecimal_digits_are_rejected(token: str) -> None:
    assert not HEXADECIMAL.holds(token)


@unhurried
@given(st.sets(st.sampled_from(CLASSES), min_size=1), st.integers(0, 3))
def test_a_password_needs_three_character_classes(classes: set[str], place: int) -> None:
    token = "".join(members[place] for members in classes) * 10
    assert PASSWORD.holds(token) == (len(classes) >= 3)


@pytest.mark.parametrize("foreign", [" ", "\n", "é", "~", '"', "/"])
def test_a_password_with_a_disallowed_character_is_rejected(foreign: str) -> None:
    assert PASSWORD.holds("Aa1!Aa1!Aa1!")
    assert not PASSWORD.holds(f"Aa1!Aa1!{foreign}Aa1!")


@unhurried
@given(st.text())
def test_a_format_without_rules_accepts_any_value(token: str) -> None:
    assert ANY.holds(token)
    assert UUID.holds(token)
