"""A policy document as pure data, and which of its statements are ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Statement = dict[str, Any]
Document = dict[str, Any]
# Statements whose Sid begins so are ours; nothing else in a document is ever touched.
OWN_SID = "Latchkey"
VERSION = "2012-10-17"


def new_document(statements: Iterable[Statement]) -> Document:
    return {"Version": VERSION, "Statement": [*statements]}


def own_statements(document: Document | None) -> list[Statement]:
    return [statement for statement in statements_of(document or {}) if is_own(statement)]


def is_own(statement: Statement) -> bool:
    return str(statement.get("Sid", "")).startswith(OWN_SID)


def statements_of(document: Document) -> list[Statement]:
    return list(listed(document.get("Statement")))


def principals_of(statement: Statement) -> dict[str, Any]:
    return by_kind(statement.get("Principal", {}))


def by_kind(principal: Any) -> dict[str, Any]:
    kinds: dict[str, Any] = {"AWS": principal} if isinstance(principal, str) else principal
    return kinds


def listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
