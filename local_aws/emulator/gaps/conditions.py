"""Authorization of requests: condition keys, requests that need several permissions, and KMS grants."""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import dynamodb, iam, kms
from ministack.services import tagging as tag_store

from local_aws.emulator import authorization
from local_aws.emulator.gaps.patching import Around, wrap

# An entry in the service context that carries data from the request to `_enforce`. No policy can name it.
_ALSO = "emulator/also-on"

# A request that creates a resource with tags also needs this permission.
_TAG_ON_CREATE = {
    "kms:CreateKey": "kms:TagResource",
    "secretsmanager:CreateSecret": "secretsmanager:TagResource",
    "iam:CreateRole": "iam:TagRole",
    "iam:CreatePolicy": "iam:TagPolicy",
}

# A name in an expression, which is no value (`:name`) and no part of a path (`.name`).
_NAME = re.compile(r"(?<![:.#\w])(?P<name>#?[A-Za-z_]\w*)")
_EQUAL = re.compile(r"(?P<name>#?\w+)\s*=\s*(?P<value>:\w+)")
_EXPRESSION_WORDS = {
    *("set", "remove", "add", "delete", "and", "or", "not", "in", "between", "begins_with", "contains", "size"),
    *("attribute_exists", "attribute_not_exists", "attribute_type", "if_not_exists", "list_append"),
}


def apply() -> None:
    wrap(kms, "key_policy_for_arn", _key_policy)
    wrap(iam_actions, "request_tag_context", _request_context)
    wrap(iam_actions, "dynamodb_service_context", _item_keys)
    wrap(iam_actions, "extract_resource_arn", _resource_arn)
    wrap(iam_evaluator, "enforce", _enforce)
    wrap(iam_evaluator, "_resolve_condition_key", _condition_key)
    wrap(iam_evaluator, "_evaluate_single_condition", _condition)
    wrap(iam_evaluator, "parse_policy_document", _parse_once)
    wrap(iam_evaluator, "evaluate_resource_policy", _evaluate_resource_policy)


def _parse_once(original: Around, document: Any) -> Any:
    """Gap: every call parses all policies of its caller."""
    return _parsed(original, document) if isinstance(document, str) else original(document)


@lru_cache(maxsize=4096)
def _parsed(original: Around, document: str) -> Any:
    return original(document)


def _request_context(original: Around, service: str, iam_action: str, body: bytes, params: Any) -> dict[str, Any]:
    """Gap: of the condition keys that depend on the request, only tags are set."""
    context: dict[str, Any] = original(service, iam_action, body, params)
    if service == "iam":
        return context | dict(_iam_keys(params))
    if service not in ("kms", "secretsmanager", "events"):
        return context
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return context
    keys = {"kms": _kms_keys, "secretsmanager": _secret_keys, "events": _event_keys}[service]
    return context | dict(keys(iam_action, data))


def _kms_keys(action: str, data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if "PendingWindowInDays" in data:
        yield "kms:ScheduleKeyDeletionPendingWindowInDays", str(data["PendingWindowInDays"])
    if "RotationPeriodInDays" in data:
        yield "kms:RotationPeriodInDays", str(data["RotationPeriodInDays"])
    if action in ("kms:CreateKey", "kms:PutKeyPolicy"):
        skipped = bool(data.get("BypassPolicyLockoutSafetyCheck"))
        yield "kms:BypassPolicyLockoutSafetyCheck", str(skipped).lower()
    if action in ("kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"):
        yield "kms:GrantIsForAWSResource", "false"
    if action == "kms:CreateGrant":
        yield "kms:GrantOperations", list(data.get("Operations") or [])
        for member in ("GranteePrincipal", "RetiringPrincipal", "GranteeServicePrincipal", "RetiringServicePrincipal"):
            if data.get(member):
                yield f"kms:{member}", data[member]
        for constraint in set(data.get("Constraints") or {}) & {"EncryptionContextSubset", "EncryptionContextEquals"}:
            yield "kms:GrantConstraintType", constraint
    pairs = data.get("EncryptionContext") or {}
    yield from ((f"kms:EncryptionContext:{name}", value) for name, value in pairs.items())
    if pairs:
        yield "kms:EncryptionContextKeys", list(pairs)
    aliased = (kms._resolve_key(data.get("TargetKeyId")), kms._resolve_key(data.get("AliasName")))
    if action in ("kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias"):
        yield _ALSO, sorted({key["Arn"] for key in aliased if key})


def _secret_keys(action: str, data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if action == "secretsmanager:PutResourcePolicy":
        yield "secretsmanager:BlockPublicPolicy", str(bool(data.get("BlockPublicPolicy"))).lower()
    if action == "secretsmanager:DeleteSecret":
        yield "secretsmanager:ForceDeleteWithoutRecovery", str(bool(data.get("ForceDeleteWithoutRecovery"))).lower()
    for member in ("Name", "KmsKeyId", "SecretId", "VersionId", "VersionStage", "RecoveryWindowInDays"):
        if data.get(member):
            yield f"secretsmanager:{member}", str(data[member])
    key = kms._resolve_key(data.get("KmsKeyId"))
    if key:
        yield "secretsmanager:KmsKeyArn", key["Arn"]


def _event_keys(action: str, data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if action == "events:PutEvents":
        entries = data.get("Entries") or []
        # Keys with the values of all entries (ArrayOfString), so that only set operators compare them as a policy intends:
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
        yield "events:source", sorted({str(entry.get("Source")) for entry in entries})
        yield "events:detail-type", sorted({str(entry.get("DetailType")) for entry in entries})


def _item_keys(original: Around, body: bytes) -> dict[str, Any]:
    """Gap: `dynamodb:LeadingKeys` is not set for an item or a query, and `dynamodb:Attributes` lacks most attributes.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    """
    context: dict[str, Any] = original(body)
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return context
    item = data.get("Key") or data.get("Item") or {}
    table = dynamodb._tables.get(str(data.get("TableName", "")).rsplit("/", 1)[-1], {})
    names = [key["AttributeName"] for key in table.get("KeySchema", []) if key["KeyType"] == "HASH"]
    values = [str(value) for name in names for key in (item.get(name) or _queried(data, name),) for value in key.values()]
    named = sorted({*context.get("dynamodb:Attributes", ()), *item, *_attributes(data)})
    return context | ({"dynamodb:LeadingKeys": values} if values else {}) | ({"dynamodb:Attributes": named} if named else {})


def _queried(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The value that the condition of a query demands of the partition key, or nothing."""
    names, values = data.get("ExpressionAttributeNames") or {}, data.get("ExpressionAttributeValues") or {}
    equal = _EQUAL.finditer(str(data.get("KeyConditionExpression") or ""))
    return next((values.get(found["value"], {}) for found in equal if names.get(found["name"], found["name"]) == name), {})


def _attributes(data: dict[str, Any]) -> Iterator[str]:
    """The top-level attributes that the expressions of a request name."""
    names = data.get("ExpressionAttributeNames") or {}
    for member in ("UpdateExpression", "ConditionExpression", "FilterExpression", "KeyConditionExpression"):
        for found in _NAME.finditer(str(data.get(member) or "")):
            name = found.group("name")
            if name.lower() not in _EXPRESSION_WORDS:
                yield str(names.get(name, name))


def _iam_keys(params: Any) -> Iterator[tuple[str, Any]]:
    """Yields the permissions boundary in the request or of the role or user that it changes, and the policy."""
    name = iam._p(params, "RoleName") or iam._p(params, "UserName")
    entity = iam._roles.get(name) or iam._users.get(name) or {}
    boundary = iam._p(params, "PermissionsBoundary") or entity.get("PermissionsBoundary")
    if boundary:
        yield "iam:PermissionsBoundary", boundary
    policy = iam._p(params, "PolicyArn")
    if policy:
        yield "iam:PolicyARN", policy


def _resource_arn(original: Around, service: str, *args: Any, **kwargs: Any) -> str:
    """Gap: alias operations are authorized against `*`, and operations on a key by alias against the alias."""
    arn: str = original(service, *args, **kwargs)
    if service == "iam":
        return _iam_arn(args[4]) or arn
    if service != "kms":
        return arn
    if ":alias/" in arn:
        key = kms._resolve_key(arn)
        return str(key["Arn"]) if key else arn
    body, region, account = args[3], args[5], args[6]
    name = iam_actions._safe_json_field(body, "AliasName")
    return f"arn:aws:kms:{region}:{account}:{name}" if name and arn == "*" else arn


def _iam_arn(params: Any) -> str:
    """Gap: simulations are authorized against `*`, and operations on roles against an ARN without path."""
    if source := iam._p(params, "PolicySourceArn"):
        return str(source)
    name, path = iam._p(params, "RoleName"), iam._p(params, "Path") or "/"
    if role := iam._roles.get(name):
        return str(role["Arn"])
    return f"arn:aws:iam::{get_account_id()}:role{path}{name}" if name else ""


def _enforce(
    original: Around,
    access_key: str,
    iam_action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: dict[str, Any] | None = None,
) -> Any:
    """Makes every check that AWS makes for the request, and returns the first denial."""
    context = {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"} | (service_context or {})
    also = context.pop(_ALSO, [])
    if service in ("kms", "secretsmanager", "iam"):
        context |= _resource_keys(service, resource_arn)
    denied = original(access_key, iam_action, service, region, resource_arn, context)
    if denied and not _granted(denied, iam_action, resource_arn, context):
        return denied
    for arn in also:
        on_key = context | _resource_keys(service, arn)
        if denied := original(access_key, iam_action, service, region, arn, on_key):
            return denied
    second = _TAG_ON_CREATE.get(iam_action)
    if not second or "aws:TagKeys" not in context:
        return None
    # A new key has no ARN yet. The ARN of a secret or role follows from its name.
    return original(access_key, second, service, region, "*" if service == "kms" else resource_arn, context)


def _resource_keys(service: str, arn: str) -> dict[str, Any]:
    """Gap: resource tags are not available to key policies, permissions boundaries and session policies, aliases to no policy.

    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-resource-aliases
    """
    tags = tag_store.resource_tags(arn) or {}
    prefixes = ("aws:ResourceTag/", f"{service}:ResourceTag/")
    found: dict[str, Any] = {f"{prefix}{name}".lower(): value for name, value in tags.items() for prefix in prefixes}
    if service == "kms" and ":key/" in arn:
        aliases = [alias.partition(":alias/")[2] for alias, key in kms._aliases.items() if arn.endswith(f":key/{key}")]
        found |= {"kms:resourcealiases": [f"alias/{name}" for name in aliases]} if aliases else {}
    return found


def _granted(denied: Any, action: str, resource: str, context: dict[str, Any]) -> bool:
    """Gap: grants are listed, but do not allow anything."""
    implicit = getattr(denied, "decision", "") == "ImplicitDeny"
    return implicit and authorization.grant_allows(denied.principal_arn, action, resource, context)


def _condition_key(original: Around, key: str, ctx: Any) -> Any:
    """Gap: `aws:PrincipalArn` of a role session is the ARN of the session. On AWS, it is the ARN of the role.

    The emulator has no TLS, so every call counts as encrypted.
    """
    name = key.lower()
    if name == "aws:securetransport":
        return "true"
    if ctx.principal_type == "AWSService" and name in ("aws:principalarn", "aws:principalaccount", "aws:principaltype"):
        return None
    if name == "aws:principalarn":
        return authorization.role_arn_of(ctx.principal_arn)
    if name == "kms:calleraccount":
        return ctx.principal_account or None
    value = original(key, ctx)
    return None if value == [] else value


def _condition(original: Around, operator: str, actual: Any, expected: list[str]) -> bool:
    """Gap: an operator without ForAllValues or ForAnyValue compares a key with several values by its representation as text.

    AWS does not define such a comparison, so here it is never true, and a policy that depends on it fails.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    is_single = not operator.lower().startswith(("forallvalues:", "foranyvalue:", "null"))
    return not (is_single and isinstance(actual, list)) and bool(original(operator, actual, expected))


def _evaluate_resource_policy(original: Around, document: Any, ctx: Any, service: str | None = None, **only: bool) -> Any:
    """Gap: a Deny with NotPrincipal never applies. On AWS, it denies everyone else, and every role with a boundary.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
    """
    if "NotPrincipal" not in str(document):
        return original(document, ctx, service, **only)
    parsed = json.loads(document) if isinstance(document, str) else document
    listed = parsed["Statement"] if isinstance(parsed["Statement"], list) else [parsed["Statement"]]
    statements = [
        {"Principal": "*"} | {name: value for name, value in statement.items() if name != "NotPrincipal"}
        if statement["Effect"] == "Deny" and "NotPrincipal" in statement and not _is_spared(statement, ctx, service)
        else statement
        for statement in listed
    ]
    return original(parsed | {"Statement": statements}, ctx, service, **only)


def _is_spared(statement: dict[str, Any], ctx: Any, service: str | None) -> bool:
    """Returns whether NotPrincipal names the caller."""
    named = statement["NotPrincipal"]
    if service and iam_evaluator._service_principal_matches(named, service):
        return True
    role = iam._roles.get(authorization.role_arn_of(ctx.principal_arn).rsplit("/", 1)[-1]) or {}
    is_named = iam_evaluator._principal_matches({"AWS": named.get("AWS", [])}, ctx.principal_arn)
    return bool(is_named) and not (":assumed-role/" in ctx.principal_arn and role.get("PermissionsBoundary"))


def _key_policy(original: Around, arn: str) -> Any:
    """Gap: an alias has the policy of its key. On AWS, only IAM policies apply to an alias.

    https://docs.aws.amazon.com/kms/latest/developerguide/alias-access.html
    """
    return None if ":alias/" in arn else original(arn)
