"""Policy documents and their statements as data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

# The longest documents that AWS accepts, in bytes for a key and in characters for secret and role:
# https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
KEY_POLICY_LIMIT, SECRET_POLICY_LIMIT, ROLE_POLICY_LIMIT = 32_768, 20_480, 10_240
Statement = dict[str, Any]
Document = dict[str, Any]
# A statement whose Sid has this prefix is ours. Latchkey changes no other statement.
OWN_SID = "Latchkey"
VERSION = "2012-10-17"
_ENTITY = re.compile(r"arn:[a-z-]+:iam::\d{12}:(role|user)/.+")


def new_document(statements: Iterable[Statement]) -> Document:
    """A document with these statements."""
    return {"Version": VERSION, "Statement": [*statements]}


def text_of(document: Document) -> str:
    """The document as it is sent to AWS: without white space, which would count against the limits, and in ASCII."""
    return json.dumps(document, separators=(",", ":"))


def own_statements(document: Document | None) -> list[Statement]:
    """The statements of a document that are ours."""
    return [statement for statement in statements_of(document or {}) if is_own(statement)]


def is_own(statement: Statement) -> bool:
    """Whether a statement is ours."""
    return str(statement.get("Sid", "")).startswith(OWN_SID)


def statements_of(document: Document) -> list[Statement]:
    """The statements of a document, which can also be a single statement without a list."""
    return list(listed(document.get("Statement")))


def label(statement: Statement, at: int) -> str:
    """How a message names a statement: by its Sid or, without one, by its position in the document, which begins at 0."""
    return str(statement.get("Sid") or f"Statement[{at}]")


def principals_of(statement: Statement) -> dict[str, Any]:
    """The principals of a statement, by type."""
    return by_kind(statement.get("Principal", {}))


def principals_in(statement: Statement) -> list[str]:
    """The principals of a statement, whatever their type."""
    return sorted(str(name) for names in principals_of(statement).values() for name in listed(names))


def named_principals(document: Document) -> list[str]:
    """The ARNs of all roles and users that the statements name."""
    named = {str(name) for statement in statements_of(document) for name in listed(principals_of(statement).get("AWS"))}
    return sorted(name for name in named if _ENTITY.fullmatch(name))


def by_kind(principal: Any) -> dict[str, Any]:
    """The value of a Principal element, by type: the text `*` means `{"AWS": "*"}`."""
    kinds: dict[str, Any] = {"AWS": principal} if isinstance(principal, str) else principal
    return kinds


def listed(value: Any) -> list[Any]:
    """A value that can be a list, a single item or absent, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
