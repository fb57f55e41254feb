"""Key policies: KMS rejects policies that are too long or malformed, name unknown principals, or lock the caller out."""

import json
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import iam, kms
from ministack.services import tagging as tag_store

from local_aws.emulator import authorization
from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.gaps.patching import Around, current_caller, error_response, wrap

_MAX_BYTES = 32_768
_MALFORMED = "MalformedPolicyDocumentException"


def apply() -> None:
    wrap(kms, "_create_key", _check_policy)
    wrap(kms, "_put_key_policy", _check_policy)


def _check_policy(original: Around, data: dict[str, Any]) -> Any:
    """Gap: any text is accepted as a key policy. Calls from inside the process (CloudFormation) are not checked."""
    caller, policy = current_caller(), data.get("Policy")
    if caller is None or policy is None:
        return original(data)
    if len(policy.encode()) > _MAX_BYTES:
        return error_response("LimitExceededException", f"The key policy is longer than {_MAX_BYTES} bytes.")
    document = policy_document(policy)
    if document is None:
        return error_response(_MALFORMED, "The new key policy is not well formed.")
    # CreateKey accepts such a policy, so that there can be keys from before August 2025.
    if "KeyId" in data and _is_ineffective(document):
        return error_response(_MALFORMED, "Policy contains a statement without a valid Action or Resource element.")
    if unknown_principals(document):
        return error_response(_MALFORMED, "Policy contains a statement with one or more invalid principals.")
    if not data.get("BypassPolicyLockoutSafetyCheck") and not _can_put_again(caller, document, _tags(data)):
        text = "The new key policy will not allow you to update the key policy in the future."
        return error_response(_MALFORMED, text)
    return original(data)


def _tags(data: dict[str, Any]) -> dict[str, str]:
    """Returns the tags of the key that a request creates or changes."""
    if "KeyId" not in data:
        return {tag["TagKey"]: tag["TagValue"] for tag in data.get("Tags") or []}
    key = kms._resolve_key(data["KeyId"]) or {}
    return dict(tag_store.resource_tags(key.get("Arn", "")) or {})


def policy_document(text: str) -> dict[str, Any] | None:
    """Returns a parsed resource policy, or None unless it has Version and statements with Effect and Principal."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict) or not document.get("Version") or not statements(document):
        return None
    for statement in statements(document):
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            return None
        if not {"Principal", "NotPrincipal"} & statement.keys():
            return None
    return document


def _is_ineffective(document: dict[str, Any]) -> bool:
    """Returns whether a statement lacks an action or names another resource than `*`, which KMS rejects since August 2025.

    https://github.com/ministryofjustice/analytical-platform/issues/7691 quotes the notice of AWS.
    """
    return any(
        not (statement.get("Action") or statement.get("NotAction")) or statement.get("Resource") not in ("*", ["*"])
        for statement in statements(document)
    )


def statements(document: dict[str, Any]) -> list[Any]:
    """Returns the statements as a list. A policy can have a single statement without a list."""
    found = document.get("Statement") or []
    return found if isinstance(found, list) else [found]


def unknown_principals(document: dict[str, Any]) -> list[str]:
    """Returns the invalid principals of a policy, including users and roles of this account that do not exist."""
    return [
        name
        for statement in statements(document)
        for name in _aws_principals(statement.get("Principal", statement.get("NotPrincipal")))
        if not _exists(name)
    ]


def _aws_principals(principal: Any) -> list[str]:
    names = principal.get("AWS", []) if isinstance(principal, dict) else principal
    return [names] if isinstance(names, str) else list(names or [])


def _exists(name: str) -> bool:
    account = get_account_id()
    if name == "*" or (name.isdigit() and len(name) == 12):
        return True
    if name[:4] in ("AROA", "AIDA"):
        ids = {role["RoleId"] for role in iam._roles.values()} | {user["UserId"] for user in iam._users.values()}
        return name in ids
    parts = name.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[2] not in ("iam", "sts"):
        return False
    kind, _, rest = parts[5].partition("/")
    if parts[4] != account or kind == "root":
        return bool(parts[4]) and kind in ("root", "role", "user", "assumed-role", "federated-user")
    if kind == "assumed-role":
        return iam._roles.get(rest.split("/")[0]) is not None
    store = {"role": iam._roles, "user": iam._users}.get(kind)
    found = store.get(rest.rsplit("/", 1)[-1]) if store is not None else None
    return found is not None and found["Arn"] == name


def _can_put_again(caller: authorization.Caller, document: dict[str, Any], tags: dict[str, str]) -> bool:
    """Returns whether the caller could call PutKeyPolicy under the new policy.

    The policy must name the caller, or delegate to the account while an identity policy of the caller allows the action. With
    `lockoutCountsTagConditions` false, no identity policy with a condition on the tags of the key counts.
    """
    context = {f"aws:ResourceTag/{name}": value for name, value in tags.items()}
    counts = CURRENT.value.lockout_counts_tag_conditions
    return authorization.could_put_key_policy(caller, document, context, ignored=() if counts else ("aws:resourcetag/",))
