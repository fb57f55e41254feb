"""What a document says, told from its structure: whom it admits, and whether IAM counts beside it."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

from latchkey.place import Place
from latchkey.policies.document import Document, Statement, by_kind, listed, principals_of, statements_of

_RANDOM_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")


def delegates_to_iam(document: Document, place: Place) -> bool:
    """Do IAM policies of the account count for a key with this policy? Recognised by content, since its Sid varies."""
    root = {place.arn("iam", "root", region=""), place.account}
    return any(
        statement.get("Effect") == "Allow"
        and not statement.get("Condition")
        and set(listed(principals_of(statement).get("AWS"))) & root
        and {"*", "kms:*"} & set(listed(statement.get("Action")))
        for statement in statements_of(document)
    )


def admits_service(document: Document | None, principal: str, action: str, resource: str) -> bool:
    """Does an unconditional Allow admit the service, and no unconditional Deny refuse it?

    Compared by structure, since IAM's simulator takes no resource policies for service principals. Whether a condition holds
    for a call of the service nobody can tell from outside, so conditional statements count neither way.
    """
    effects = {
        s["Effect"]
        for s in statements_of(document or {})
        if not s.get("Condition")
        and _covers(s, "Action", action)
        and _covers(s, "Resource", resource)
        and _names_service(s, principal)
    }
    return effects == {"Allow"}


def could_admit_service(document: Document | None, service: str, action: str, resource: str) -> bool:
    """Is any Allow left, whatever its conditions, that names the service in any of its forms, or everyone?"""
    return bool(statements_for_service(document, service, action, resource))


def statements_for_service(document: Document | None, service: str, action: str, resource: str) -> list[str]:
    """The Sids of the statements that could admit a service, or their places in the document where they have none.

    A service may read as `mediatailor.amazonaws.com` or with its Region in the name; which is not documented. A statement
    that names a secret without its random suffix counts.
    """
    names = (resource, without_suffix(resource))
    return [
        statement.get("Sid", f"statement {at}")
        for at, statement in enumerate(statements_of(document or {}))
        if statement["Effect"] == "Allow"
        and _covers(statement, "Action", action)
        and any(_covers(statement, "Resource", name) for name in names)
        and _could_be_service(statement, service)
    ]


def without_suffix(secret_arn: str) -> str:
    """A secret's ARN as it may be given as well: without the random characters at its end.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
    """
    return _RANDOM_SUFFIX.sub("", secret_arn)


def is_public(document: Document | None) -> bool:
    """Does an Allow admit everyone, or everyone but a few, without a condition?"""
    return bool(public_statements(document))


def public_statements(document: Document | None) -> list[str]:
    """The Allows that admit everyone, or everyone but a few, without a condition: Sids, or places where there are none."""
    return [
        s.get("Sid", f"statement {at}")
        for at, s in enumerate(statements_of(document or {}))
        if s.get("Effect") == "Allow" and not s.get("Condition") and ("NotPrincipal" in s or _is_everyone(s))
    ]


def _could_be_service(statement: Statement, service: str) -> bool:
    return (
        "NotPrincipal" in statement
        or _is_everyone(statement)
        or any(_is_of_service(name, service) for name in listed(principals_of(statement).get("Service")))
    )


def _names_service(statement: Statement, principal: str) -> bool:
    if "NotPrincipal" in statement:
        return principal not in listed(by_kind(statement["NotPrincipal"]).get("Service"))
    return _is_everyone(statement) or principal in listed(principals_of(statement).get("Service"))


def _is_of_service(principal: str, service: str) -> bool:
    return principal.startswith(f"{service}.") and principal.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _is_everyone(statement: Statement) -> bool:
    return any("*" in listed(names) for names in principals_of(statement).values())


def _covers(statement: Statement, member: str, value: str) -> bool:
    """Does the statement's Action or Resource, or its negation, cover the value? Actions are not case-sensitive."""
    fold = str.lower if member == "Action" else str

    def matches(patterns: Any) -> bool:
        return any(fnmatchcase(fold(value), fold(pattern)) for pattern in listed(patterns))

    return not matches(statement[f"Not{member}"]) if f"Not{member}" in statement else matches(statement.get(member))
