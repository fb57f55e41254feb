"""Resource policies of secrets: malformed ones are refused, and public ones where the caller asks for that."""

from typing import Any

from ministack.core.responses import json_response
from ministack.services import secretsmanager

from local_aws.gaps.key_policies import policy_document, statements, unknown_principals
from local_aws.gaps.patching import Around, refusal, wrap

# A wildcard principal is not public where one of these narrows it to what somebody owns.
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
    """ministack 1.5.33: any text is a resource policy, and BlockPublicPolicy is ignored."""
    fault = _fault(data.get("ResourcePolicy", ""))
    if fault:
        return refusal("MalformedPolicyDocumentException", fault)
    if data.get("BlockPublicPolicy") and _is_public(data["ResourcePolicy"]):
        text = "You can't attach the resource policy because it allows broad access to the secret (BlockPublicPolicy)."
        return refusal("PublicPolicyException", text)
    return original(data)


def _validate_resource_policy(original: Around, data: dict[str, Any]) -> Any:
    """ministack 1.5.33: every policy passes validation."""
    policy = data.get("ResourcePolicy", "")
    fault = _fault(policy)
    errors = [{"CheckName": "ValidatePolicyDocument", "ErrorMessage": fault}] if fault else []
    if not fault and _is_public(policy):
        errors.append({"CheckName": "BlockPublicPolicy", "ErrorMessage": "The policy allows broad access."})
    return json_response({"PolicyValidationPassed": not errors, "ValidationErrors": errors})


def _fault(text: str) -> str | None:
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
    return any(_admits_anyone(statement) for statement in statements(policy_document(text) or {}))


def _admits_anyone(statement: dict[str, Any]) -> bool:
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
