"""The canonical form of a policy document, in which documents with the same meaning are equal.

AWS does not return a document as it was written: IAM and KMS change the order of principals and replace an account by the
ARN of its root, and a list of one can become a text. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from latchkey.policies.document import Document, Statement, by_kind, listed, statements_of

# Without a Version element, this version applies:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
_FIRST_VERSION = "2008-10-17"
_ROOT = re.compile(r"arn:[a-z-]+:iam::(\d{12}):root")
# With these operators, the case of a value has no meaning.
_CASELESS_OPERATORS = ("bool", "null", "stringequalsignorecase", "stringnotequalsignorecase")

type Canonical = frozenset[Any]


def is_same(one: Document | None, other: Document | None) -> bool:
    """Whether two documents have the same statements, in any order and form. A Sid and a deleted principal's ID count."""
    return canonical(one) == canonical(other)


def canonical(document: Document | None) -> Canonical | None:
    """The canonical form of a document, or None if there is none."""
    if document is None:
        return None
    others = {name: value for name, value in document.items() if name not in ("Version", "Statement")}
    statements = frozenset(map(canonical_statement, statements_of(document)))
    version = document.get("Version", _FIRST_VERSION)
    return frozenset({("Version", version), ("Statement", statements), ("Others", json.dumps(others, sort_keys=True))})


def canonical_statement(statement: Statement) -> Canonical:
    """The canonical form of a statement. An empty condition counts as none."""
    return frozenset((name, form) for name, value in statement.items() if (form := _member(name, value)) != frozenset())


def _member(name: str, value: Any) -> Any:
    match name:
        case "Principal" | "NotPrincipal":
            return principal_set(value)
        case "Action" | "NotAction":
            return frozenset(str(item).lower() for item in listed(value))
        case "Resource" | "NotResource":
            return frozenset(listed(value))
        case "Condition":
            return frozenset(conditions_of({name: value}).items())
        case _:
            return value_text(value)


def principal_set(principal: Any) -> frozenset[tuple[str, str]]:
    """The principals of a Principal element, each with its type."""
    return frozenset((kind, account_of(name)) for kind, names in by_kind(principal).items() for name in listed(names))


def conditions_of(statement: Statement) -> dict[tuple[str, str], frozenset[str]]:
    """The values of each condition by operator and key. Neither operators nor keys are case-sensitive."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for operator, keys in (statement.get("Condition") or {}).items():
        for key, values in keys.items():
            place = operator.lower(), key.lower()
            is_caseless = place[0].rpartition(":")[2].removesuffix("ifexists") in _CASELESS_OPERATORS
            texts = (value_text(value) for value in listed(values))
            found[place] = frozenset(text.lower() if is_caseless else text for text in texts)
    return found


def value_text(value: Any) -> str:
    """A condition value as text: AWS returns `true` and `5` as they are, or as the texts `"true"` and `"5"`."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def account_of(principal: str) -> str:
    """The account of the ARN of its root user, which is the same principal. Any other principal is returned unchanged."""
    return found[1] if (found := _ROOT.fullmatch(principal)) else principal


def without(values: Any, known: Any, form: Callable[[Any], str] = value_text) -> list[Any]:
    """The values that are not known. `form` is the form in which values are compared."""
    forms = {form(value) for value in listed(known)}
    return [value for value in listed(values) if form(value) not in forms]


def within(values: Any, known: Any, form: Callable[[Any], str] = value_text) -> list[Any]:
    """The values that are known. `form` is the form in which values are compared."""
    forms = {form(value) for value in listed(known)}
    return [value for value in listed(values) if form(value) in forms]


def comparable(settings: Mapping[str, Any], documents: Iterable[str]) -> dict[str, Any]:
    """Settings in which equal policies are equal. `documents` are the members with a document or its JSON text."""
    forms = {name: canonical(_parsed(settings[name])) for name in documents if settings.get(name)}
    return {**settings, **forms}


def _parsed(document: Document | str) -> Document:
    parsed: Document = json.loads(document) if isinstance(document, str) else document
    return parsed
