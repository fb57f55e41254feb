"""What tokens are made of: each form can make one from the operating system's randomness and judge one without repeating it."""

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
    """`rule` tells what `holds` demands of a token. `make` takes a length in characters; `length` may be the only one."""

    rule: str
    holds: Callable[[str], bool]
    make: Callable[[int], str]
    length: int | None = None


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _classes(token: str) -> int:
    return sum(any(character in members for character in token) for members in _CLASSES)


def _password(length: int) -> str:
    """One character of each class, the rest of any, in random order."""
    characters = [secrets.choice(members) for members in _CLASSES] + [*_random("".join(_CLASSES), length - len(_CLASSES))]
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)


ANY = TokenFormat("may hold any character", lambda _: True, lambda length: _random(_LETTERS_AND_DIGITS, length))
# Any value is taken, a random UUID is advised:
# https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html
UUID = TokenFormat("may hold any character", lambda _: True, lambda _: str(uuid4()), length=36)
# https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key-set-up.html
HEXADECIMAL = TokenFormat(
    "must hold hexadecimal digits only",
    lambda token: re.fullmatch(r"[0-9A-Fa-f]+", token) is not None,
    lambda length: secrets.token_hex(length // 2),
)
# https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-srt-password-set-up.html
PASSWORD = TokenFormat(
    "must hold three of: capital letters, small letters, digits, the symbols ! @ # $ % ^ & * ( ) _ + - = [ ] { } | '",
    lambda token: _classes(token) >= 3 and set(token) <= set("".join(_CLASSES)),
    _password,
)
