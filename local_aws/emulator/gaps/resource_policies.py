"""Resource policies of secrets: which ones are rejected, and policies other than `default`."""

import json
from collections.abc import Mapping
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
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
)


# The member of a stored secret with its policies other than `default`, by name.
_OTHERS = "OtherResourcePolicies"
_NO_POLICY = "Secrets Manager can't find the specified resource policy."


def apply() -> None:
    wrap(secretsmanager, "handle_request", _list_resource_policies)
    wrap(secretsmanager, "_get_resource_policy", _get_resource_policy)
    wrap(secretsmanager, "secret_policy_for_arn", _secret_policy_for_arn)
    wrap(secretsmanager, "_put_resource_policy", _put_resource_policy)
    wrap(secretsmanager, "_validate_resource_policy", _validate_resource_policy)


def attach(secret_id: str, name: str, policy: Mapping[str, Any]) -> None:
    """Attaches a policy other than `default`, which no operation of Secrets Manager can do. Raises ValueError if it cannot.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutResourcePolicy.html
    """
    _, secret = secretsmanager._resolve(secret_id)
    if secret is None or name == "default":
        raise ValueError("the secret must exist, and the name must not be default")
    secret.setdefault(_OTHERS, {})[name] = json.dumps(policy)


async def _list_resource_policies(
    original: Around, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
) -> Any:
    """Gap: ListResourcePolicies is unknown."""
    target = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "")
    if target != "secretsmanager.ListResourcePolicies":
        return await original(method, path, headers, body, query)
    return _listed(json.loads(body))


def _listed(data: Mapping[str, Any]) -> Any:
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if secret is None:
        return error_response("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    default = ["default"] if secretsmanager._resource_policies.get(secret["ARN"]) else []
    names = [*default, *sorted(secret.get(_OTHERS, {}))]
    return json_response({"ResourcePolicies": [{"PolicyName": name} for name in names]})


def _get_resource_policy(original: Around, data: dict[str, Any]) -> Any:
    """Gap: PolicyName is ignored."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    name = data.get("PolicyName", "default")
    if secret is None or name == "default":
        return original(data)
    if name not in secret.get(_OTHERS, {}):
        return error_response("ResourceNotFoundException", _NO_POLICY)
    names = {"ARN": secret["ARN"], "Name": secret["Name"], "PolicyName": name}
    return json_response(names | {"ResourcePolicy": secret[_OTHERS][name]})


def _secret_policy_for_arn(original: Around, arn: str) -> tuple[str, str] | None:
    """Gap: only the policy `default` is evaluated."""
    found: tuple[str, str] | None = original(arn)
    _, secret = secretsmanager._resolve(arn)
    others = (secret or {}).get(_OTHERS, {})
    if found is None or not others:
        return found
    texts = [found[0], *others.values()]
    documents = [document for text in texts if (document := policy_document(text))]
    every = [statement for document in documents for statement in statements(document)]
    return json.dumps({"Version": "2012-10-17", "Statement": every}), found[1]


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
        if operator.lower() != "null"
        and "not" not in operator.lower()
        and not operator.lower().startswith("forallvalues")
        and not operator.lower().endswith("ifexists")
        for key, values in block.items()
    )
