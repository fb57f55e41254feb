"""Formats of tokens. Each format generates tokens from the operating system's random source, and checks tokens."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

_LETTERS_AND_DIGITS = string.ascii_letters + string.digits
_SYMBOLS = "!@#$%^&*()_+-=[]{}|'"
_CLASSES = (string.ascii_uppercase, string.ascii_lowercase, string.digits, _SYMBOLS)


@dataclass(frozen=True)
class TokenFormat:
    """A format that a token must have.

    `rule` describes what `holds` checks. `make` generates a token of a length in characters; if `length` is set, tokens have no
    other length.
    """

    rule: str
    holds: Callable[[str], bool]
    make: Callable[[int], str]
    length: int | None = None


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _classes(token: str) -> int:
    return sum(any(character in members for character in token) for members in _CLASSES)


def _password(length: int) -> str:
    """A password with at least one character of each class, in random order."""
    characters = [secrets.choice(members) for members in _CLASSES] + [*_random("".join(_CLASSES), length - len(_CLASSES))]
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)


ANY = TokenFormat("can contain any character", lambda _: True, lambda length: _random(_LETTERS_AND_DIGITS, length))
# The service accepts any value and recommends a random UUID:
# https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html
UUID = TokenFormat("can contain any character", lambda _: True, lambda _: str(uuid4()), length=36)
# https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key-set-up.html
HEXADECIMAL = TokenFormat(
    "must contain only hexadecimal digits",
    lambda token: re.fullmatch(r"[0-9A-Fa-f]+", token) is not None,
    lambda length: secrets.token_hex(length // 2),
)
# https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-srt-password-set-up.html
PASSWORD = TokenFormat(
    "must contain at least three of: uppercase letters, lowercase letters, digits, and the symbols "
    "! @ # $ % ^ & * ( ) _ + - = [ ] { } | '",
    lambda token: _classes(token) >= 3 and set(token) <= set("".join(_CLASSES)),
    _password,
)
