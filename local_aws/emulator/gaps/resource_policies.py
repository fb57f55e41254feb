"""Resource policies of secrets: malformed policies are rejected, and public ones with BlockPublicPolicy."""

from typing import Any

from ministack.core.responses import json_response
from ministack.services import secretsmanager

from local_aws.emulator.gaps.key_policies import policy_document, statements, unknown_principals
from local_aws.emulator.gaps.patching import Around, error_response, wrap

# A policy with a wildcard principal is not public if it has one of these condition keys with a fixed value.
_NARROWING = (
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
)


def apply() -> None:
    wrap(secretsmanager, "_put_resource_policy", _put_resource_policy)
    wrap(secretsmanager, "_validate_resource_policy", _validate_resource_policy)


def _put_resource_policy(original: Around, data: dict[str, Any]) -> Any:
    """Gap: any text is accepted as a resource policy, and BlockPublicPolicy is ignored."""
    problem = _problem(data.get("ResourcePolicy", ""))
    if problem:
        return error_response("MalformedPolicyDocumentException", problem)
    if data.get("BlockPublicPolicy") and _is_public(data["ResourcePolicy"]):
        text = "You can't attach the resource policy because it allows broad access to the secret (BlockPublicPolicy)."
        return error_response("PublicPolicyException", text)
    return original(data)


def _validate_resource_policy(original: Around, data: dict[str, Any]) -> Any:
    """Gap: every policy passes validation."""
    policy = data.get("ResourcePolicy", "")
    problem = _problem(policy)
    errors = [{"CheckName": "ValidatePolicyDocument", "ErrorMessage": problem}] if problem else []
    if not problem and _is_public(policy):
        errors.append({"CheckName": "BlockPublicPolicy", "ErrorMessage": "The policy allows broad access."})
    return json_response({"PolicyValidationPassed": not errors, "ValidationErrors": errors})


def _problem(text: str) -> str | None:
    if not 1 <= len(text) <= 20_480:
        return "A resource policy has 1 to 20480 characters."
    document = policy_document(text)
    if document is None:
        return "This resource policy is not well formed."
    for statement in statements(document):
        if not {"Action", "NotAction"} & statement.keys() or not {"Resource", "NotResource"} & statement.keys():
            return "This resource policy has a statement without Action or Resource."
        if not str(statement.get("Sid", "a")).isalnum():
            return "This resource policy has a statement id that is not alphanumeric."
    return "This resource policy contains an unsupported principal." if unknown_principals(document) else None


def _is_public(text: str) -> bool:
    return any(_allows_anyone(statement) for statement in statements(policy_document(text) or {}))


def _allows_anyone(statement: dict[str, Any]) -> bool:
    if statement["Effect"] != "Allow":
        return False
    principal = statement.get("Principal")
    named = principal.get("AWS", []) if isinstance(principal, dict) else principal
    if "NotPrincipal" not in statement and "*" not in ([named] if isinstance(named, str) else named or []):
        return False
    return not any(
        key.lower() in _NARROWING and "*" not in ([values] if isinstance(values, str) else values)
        for operator, block in (statement.get("Condition") or {}).items()
        if "not" not in operator.lower() and not operator.lower().startswith("forallvalues")
        for key, values in block.items()
    )
