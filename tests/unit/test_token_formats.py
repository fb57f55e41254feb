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
    assert shape.format.flaw(token) is None


@pytest.mark.parametrize("form", [ANY, UUID, HEXADECIMAL, PASSWORD])
def test_no_token_is_generated_twice(form: TokenFormat) -> None:
    assert len({form.make(32) for _ in range(100)}) == 100


def test_a_token_for_cdn_authorization_is_a_random_uuid() -> None:
    assert Uuid(UUID.make(36)).version == 4


@unhurried
@given(st.integers(10, 79))
def test_a_generated_password_has_every_character_class(length: int) -> None:
    token = PASSWORD.make(length)
    assert all(set(token) & set(members) for members in CLASSES)
    assert len(token) == length
    assert token[0] in string.ascii_letters


@unhurried
@given(st.text(string.hexdigits, min_size=1), st.text(min_size=1))
def test_a_static_key_has_only_hexadecimal_digits(digits: str, other: str) -> None:
    assert HEXADECIMAL.flaw(digits) is None
    assert (HEXADECIMAL.flaw(digits + other) is None) == (set(other) <= set(string.hexdigits))


@pytest.mark.parametrize("token", ["", "0x12", "ab\n", "zz", "１２"])  # noqa: RUF001  digits, but no hexadecimal ones
def test_characters_that_resemble_hexadecimal_digits_are_rejected(token: str) -> None:
    assert HEXADECIMAL.flaw(token)


PASSPHRASES = {
    "hexadecimal digits that a service handed out": "0123456789abcdef" * 4,
    "words": "quietriverboat2024",
    "a dot and a comma": "Quiet.River,2024",
    "inner spaces": "quiet river boat",
    "one class of characters": "aaaaaaaaaa",
    "digits": "1234567890",
    "the longest": "a" * 79,
    "characters beyond ASCII": "größer-als-zehn",
    "braces that are no JSON": "{quietriver}",
}


@pytest.mark.parametrize("token", PASSPHRASES.values(), ids=PASSPHRASES)
def test_a_passphrase_that_somebody_else_chose_needs_no_mix_of_characters(token: str) -> None:
    assert PASSWORD.flaw(token) is None


# What people store in place of a token, the format that is wanted, and a word of the message that says so.
KINDS_OF_VALUES: dict[str, tuple[TokenFormat, str, str]] = {
    "a JSON object for a key": (HEXADECIMAL, '{"key": "0123456789abcdef0123456789abcdef"}', "JSON object"),
    "a JSON object for a passphrase": (PASSWORD, '{"password": "quietriverboat"}', "JSON object"),
    "a JSON list": (PASSWORD, '["quietriverboat"]', "JSON list"),
    "quotation marks": (HEXADECIMAL, '"0123456789abcdef0123456789abcdef"', "quotation marks"),
    "a newline at the end": (HEXADECIMAL, "0123456789abcdef\n", "ends with a line break"),
    "a line break of Windows at the end": (PASSWORD, "quietriverboat\r\n", "ends with a line break"),
    "a newline at the beginning": (PASSWORD, "\nquietriverboat", "begins with a line break"),
    "a space at the end": (PASSWORD, "quietriverboat ", "ends with a space"),
    "a tab at the beginning": (HEXADECIMAL, "\t0123456789abcdef", "begins with a space"),
    "a prefix": (HEXADECIMAL, "0x0123456789abcdef", "begins with 0x"),
    "a prefix in capitals": (HEXADECIMAL, "0X0123456789ABCDEF", "begins with 0x"),
    "colons": (HEXADECIMAL, "01:23:45:67", "separators"),
    "spaces between": (HEXADECIMAL, "0123 4567", "separators"),
    "a UUID": (HEXADECIMAL, "01234567-89ab-cdef-0123-456789abcdef", "separators"),
    "Base64": (HEXADECIMAL, "ASNFZ4mrze8BI0VniavN7w==", "Base64"),
    "other characters": (HEXADECIMAL, "0123456789abcdeg", "not hexadecimal digits"),
    "nothing for a key": (HEXADECIMAL, "", "empty"),
    "spaces for a passphrase": (PASSWORD, "          ", "empty"),
    "more bytes than SRT takes": (PASSWORD, "ü" * 40, "79 bytes"),
}


@pytest.mark.parametrize(("form", "token", "named"), KINDS_OF_VALUES.values(), ids=KINDS_OF_VALUES)
def test_a_flaw_says_what_was_stored_and_what_to_store_instead(form: TokenFormat, token: str, named: str) -> None:
    flaw = form.flaw(token)

    assert flaw
    assert named in flaw
    assert ": " in flaw


@unhurried
@given(st.sampled_from([HEXADECIMAL, PASSWORD]), st.text(min_size=6))
def test_a_flaw_never_contains_a_token(form: TokenFormat, token: str) -> None:
    assert token not in (form.flaw(token) or "")


@unhurried
@given(st.text())
def test_a_format_without_rules_accepts_any_value(token: str) -> None:
    assert ANY.flaw(token) is None
    assert UUID.flaw(token) is None
