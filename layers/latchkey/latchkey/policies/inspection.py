"""What a policy document allows, derived from its structure."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

from latchkey.place import Place
from latchkey.policies.canonical import conditions_of
from latchkey.policies.document import (
    Document,
    Statement,
    by_kind,
    is_own,
    label,
    listed,
    principals_in,
    principals_of,
    statements_of,
)

_RANDOM_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")


def delegates_to_iam(document: Document, place: Place) -> bool:
    """Whether a key policy delegates to IAM. The statement is recognized by its content, because its Sid varies."""
    root = {place.arn("iam", "root", region=""), place.account}
    return any(
        statement.get("Effect") == "Allow"
        and not statement.get("Condition")
        and set(listed(principals_of(statement).get("AWS"))) & root
        and {"*", "kms:*"} & set(listed(statement.get("Action")))
        for statement in statements_of(document)
    )


def admits_service(document: Document | None, principal: str, action: str, resource: str) -> bool:
    """Whether a statement without a condition allows the service, and none denies it.

    The IAM policy simulator does not accept service principals for resource policies, so statements are compared by structure.
    Whether a condition is met by a call of the service is unknown, so statements with a condition are ignored.
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


def certainly_excludes_service(document: Document | None, principal: str, action: str, resource: str) -> bool:
    """Whether no statement could allow the service, or one without a condition denies it."""
    denied = denying_statements(document, principal, action, resource)
    return bool(denied) or not could_admit_service(document, principal.split(".", maxsplit=1)[0], action, resource)


def could_admit_role(document: Document, role_arn: str, action: str) -> bool:
    """Whether any Allow statement names the role, its account or everyone. Conditions are ignored."""
    account = role_arn.split(":")[4]
    names = {"*", account, role_arn.split(":role/", maxsplit=1)[0] + ":root", role_arn}
    return any(
        s["Effect"] == "Allow"
        and _covers(s, "Action", action)
        and ("NotPrincipal" in s or bool(set(listed(principals_of(s).get("AWS"))) & names))
        for s in statements_of(document)
    )


def could_admit_service(document: Document | None, service: str, action: str, resource: str) -> bool:
    """Whether any Allow statement names the service, in any form of its principal, or everyone. Conditions are ignored."""
    return bool(statements_for_service(document, service, action, resource))


def statements_for_service(document: Document | None, service: str, action: str, resource: str) -> list[str]:
    """The Sids of the statements that could allow a service; for a statement without a Sid, its position in the document.

    It is not documented whether a service reads as `mediatailor.amazonaws.com` or with its Region in the principal, so both
    count. A statement that names a secret without its random suffix also counts.
    """
    names = (resource, without_suffix(resource))
    return [
        label(statement, at)
        for at, statement in enumerate(statements_of(document or {}))
        if statement["Effect"] == "Allow"
        and _covers(statement, "Action", action)
        and any(_covers(statement, "Resource", name) for name in names)
        and _could_be_service(statement, service)
    ]


def foreign_readers(document: Document | None, action: str, resource: str) -> dict[str, list[str]]:
    """The principals that statements of others allow an action on a resource, by the statement: its Sid or position.

    A statement that allows everyone is left out. A condition does not matter: it can be met.
    """
    return {
        label(statement, at): principals_in(statement)
        for at, statement in enumerate(statements_of(document or {}))
        if statement.get("Effect") == "Allow"
        and not is_own(statement)
        and "NotPrincipal" not in statement
        and not _is_everyone(statement)
        and _covers(statement, "Action", action)
        and any(_covers(statement, "Resource", name) for name in (resource, without_suffix(resource)))
    }


def statements_covering(document: Document | None, action: str, resource: str) -> dict[str, Statement]:
    """The statements about an action on a resource, whatever their effect, their principals and their conditions, by label."""
    names = (resource, without_suffix(resource))
    return {
        label(statement, at): statement
        for at, statement in enumerate(statements_of(document or {}))
        if _covers(statement, "Action", action) and any(_covers(statement, "Resource", name) for name in names)
    }


def denying_statements(document: Document | None, principal: str, action: str, resource: str) -> list[str]:
    """The statements without a condition that deny a service, by Sid or position."""
    return [
        label(statement, at)
        for at, statement in enumerate(statements_of(document or {}))
        if statement.get("Effect") == "Deny"
        and not statement.get("Condition")
        and _covers(statement, "Action", action)
        and _covers(statement, "Resource", resource)
        and _names_service(statement, principal)
    ]


def without_suffix(secret_arn: str) -> str:
    """The ARN of a secret without the random suffix, which Secrets Manager also accepts.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
    """
    return _RANDOM_SUFFIX.sub("", secret_arn)


def is_public(document: Document | None) -> bool:
    """Whether a statement without a condition allows everyone, or everyone except some principals."""
    return bool(public_statements(document))


def public_statements(document: Document | None) -> list[str]:
    """The statements that make a document public, by Sid or, without a Sid, by position."""
    return [
        label(s, at)
        for at, s in enumerate(statements_of(document or {}))
        if s.get("Effect") == "Allow" and not s.get("Condition") and ("NotPrincipal" in s or _is_everyone(s))
    ]


def without_public(document: Document | None) -> Document | None:
    """The document without the statements that make it public."""
    public = public_statements(document)
    kept = [one for at, one in enumerate(statements_of(document or {})) if label(one, at) not in public]
    return document | {"Statement": kept} if document else None


# In a statement that allows everyone, a fixed value of one of these keys limits who is allowed. Which keys Secrets Manager
# counts is not documented. These are the keys of S3, which checks policies in the same way, and those of the caller's identity:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
_NARROWING = frozenset(
    [
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourceorgid",
        "aws:sourceorgpaths",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
    ]
)


def broad_statements(document: Document | None) -> list[str]:
    """The statements for which Secrets Manager blocks a resource policy as public, by Sid or position.

    They allow everyone, or everyone except some principals, and no condition limits who that is.
    """
    return [
        label(s, at)
        for at, s in enumerate(statements_of(document or {}))
        if s.get("Effect") == "Allow" and ("NotPrincipal" in s or _is_everyone(s)) and not _is_narrowed(s)
    ]


def _is_narrowed(statement: Statement) -> bool:
    return any(
        key in _NARROWING and "*" not in values and _demands_a_value(operator)
        for (operator, key), values in conditions_of(statement).items()
    )


def _demands_a_value(operator: str) -> bool:
    """Whether a condition with this operator is met only by some values, and never without the key."""
    is_lenient = operator.startswith("forallvalues:") or operator.endswith("ifexists")
    return not is_lenient and operator != "null" and "not" not in operator


def ineffective_statements(document: Document | None) -> list[str]:
    """The statements that keep KMS from accepting a key policy again, by Sid or position.

    They lack Action or NotAction, or their Resource is not `*`. KMS stored such statements, without any effect, until August
    2025: https://github.com/ministryofjustice/analytical-platform/issues/7691
    """
    return [
        label(s, at)
        for at, s in enumerate(statements_of(document or {}))
        if not listed(s.get("Action", s.get("NotAction"))) or {*listed(s.get("Resource"))} != {"*"}
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
    """Whether the statement's Action or Resource, or its negation, matches the value. Actions are not case-sensitive."""
    fold = str.lower if member == "Action" else str

    def matches(patterns: Any) -> bool:
        return any(fnmatchcase(fold(value), fold(pattern)) for pattern in listed(patterns))

    return not matches(statement[f"Not{member}"]) if f"Not{member}" in statement else matches(statement.get(member))
