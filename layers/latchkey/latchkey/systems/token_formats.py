"""Formats of tokens. Each format generates tokens from the operating system's random source, and checks tokens."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

_LETTERS_AND_DIGITS = string.ascii_letters + string.digits
_SYMBOLS = "!@#$%^&*()_+-=[]{}|'"
_CLASSES = (string.ascii_uppercase, string.ascii_lowercase, string.digits, _SYMBOLS)


@dataclass(frozen=True)
class TokenFormat:
    """A format that a token must have.

    `make` generates a token of a length in characters, as the guides recommend. If `length` is set, no other length is
    generated. `flaw` describes what is wrong with any token and what to store instead, without a part of the token, or returns
    None. It requires only what the service requires, because somebody else has chosen the tokens that a request brings.
    """

    make: Callable[[int], str]
    flaw: Callable[[str], str | None] = lambda _: None
    length: int | None = None


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _password(length: int) -> str:
    """A password with at least one character of each class, in random order after a letter.

    A password that begins with a brace or a bracket could be taken for JSON.
    """
    first = secrets.choice(string.ascii_letters)
    missing = [members for members in _CLASSES if first not in members]
    characters = [secrets.choice(members) for members in missing]
    characters += _random("".join(_CLASSES), length - len(characters) - 1)
    secrets.SystemRandom().shuffle(characters)
    return first + "".join(characters)


def _not_alone(token: str) -> str | None:
    """What surrounds a token that must be the whole value of a secret, or None."""
    if token.strip() == "":
        return "is empty: store the value as plain text"
    if token != token.strip():
        where = "begins" if token[0].isspace() else "ends"
        what = "a line break" if token[0 if where == "begins" else -1] in "\r\n" else "a space"
        return f"{where} with {what}: store the value without it"
    try:
        document = json.loads(token)
    except (ValueError, RecursionError):
        return None
    if isinstance(document, dict):
        return "is a JSON object: store the value alone, as plain text"
    if isinstance(document, list | str):
        kind = "in quotation marks" if isinstance(document, str) else "a JSON list"
        return f"is {kind}: store the value alone, as plain text"
    return None


def _not_hexadecimal(token: str) -> str | None:
    if flaw := _not_alone(token):
        return flaw
    if token[:2].lower() == "0x":
        return "begins with 0x: store only the hexadecimal digits"
    if re.fullmatch(r"[0-9A-Fa-f]+([ :-][0-9A-Fa-f]+)+", token):
        return "has separators between the hexadecimal digits: store only the digits"
    if re.fullmatch(r"[0-9A-Fa-f]+", token):
        return None
    if re.fullmatch(r"[A-Za-z0-9+/]{22,43}={1,2}", token):
        return "is Base64: store the key as hexadecimal digits"
    return "has characters that are not hexadecimal digits: store the key as hexadecimal digits only"


def _not_a_passphrase(token: str) -> str | None:
    if flaw := _not_alone(token):
        return flaw
    # The protocol counts bytes. https://github.com/Haivision/srt/blob/master/docs/API/API-socket-options.md#SRTO_PASSPHRASE
    too_long = len(token.encode(errors="surrogatepass")) > LONGEST_PASSPHRASE
    return f"has more than {LONGEST_PASSPHRASE} bytes in UTF-8: choose a shorter passphrase" if too_long else None


LONGEST_PASSPHRASE: Final = 79
ANY = TokenFormat(lambda length: _random(_LETTERS_AND_DIGITS, length))
# The service accepts any value and recommends a random UUID:
# https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html
UUID = TokenFormat(lambda _: str(uuid4()), length=36)
# https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key-set-up.html
HEXADECIMAL = TokenFormat(lambda length: secrets.token_hex(length // 2), _not_hexadecimal)
# The guide recommends three classes of characters if you create a new password, and says nothing of other passwords:
# https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-srt-password-set-up.html
PASSWORD = TokenFormat(_password, _not_a_passphrase)
