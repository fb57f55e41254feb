"""IAM: permissions boundaries in templates, and policies that name a deleted role."""

import json
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import iam, kms, secretsmanager
from ministack.services.cloudformation import provisioners

from local_aws.emulator.gaps.patching import Around, wrap_item


def apply() -> None:
    role = provisioners._RESOURCE_HANDLERS["AWS::IAM::Role"]
    wrap_item(role, "create", _create_role)
    wrap_item(role, "update", _update_role)
    wrap_item(role, "delete", _delete_role_of_stack)
    wrap_item(iam._IAM_HANDLERS, "DeleteRole", _delete_role)


def _create_role(original: Around, logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
    """Gap: PermissionsBoundary in a template is ignored, even if the policy does not exist."""
    _require_policy(props.get("PermissionsBoundary"))
    made = original(logical_id, props, stack_name)
    iam._roles[made[0]]["PermissionsBoundary"] = props.get("PermissionsBoundary")
    return made


def _update_role(original: Around, physical_id: str, old: Any, new: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    _require_policy(new.get("PermissionsBoundary"))
    made = original(physical_id, old, new, *args, **kwargs)
    iam._roles[made[0]]["PermissionsBoundary"] = new.get("PermissionsBoundary")
    return made


def _require_policy(boundary: str | None) -> None:
    if boundary and not iam._policy_exists(boundary):
        raise ValueError(f"Scope ARN: {boundary} does not exist or is not attachable.")


def _delete_role(original: Around, params: Any) -> Any:
    """Gap: a policy that names a deleted role applies to a new role of the same name.

    AWS replaces the ARN in the policy by the unique id of the deleted role.
    """
    role = iam._roles.get(iam._p(params, "RoleName"))
    response = original(params)
    if role and iam._roles.get(role["RoleName"]) is None:
        _replace_principal(json.dumps(role["Arn"]), json.dumps(role["RoleId"]))
    return response


def _delete_role_of_stack(original: Around, physical_id: str, props: dict[str, Any]) -> None:
    role = iam._roles.get(physical_id)
    original(physical_id, props)
    if role:
        _replace_principal(json.dumps(role["Arn"]), json.dumps(role["RoleId"]))


def _replace_principal(arn: str, unique_id: str) -> None:
    account = get_account_id()
    for (owner, _, _), key in kms._keys._data.items():
        if owner == account and arn in key.get("Policy", ""):
            key["Policy"] = _replaced(key["Policy"], arn, unique_id)
    for place, policy in secretsmanager._resource_policies._data.items():
        if place[0] == account and arn in policy:
            secretsmanager._resource_policies._data[place] = _replaced(policy, arn, unique_id)
    for role in iam._roles.values():
        role["AssumeRolePolicyDocument"] = _replaced(role["AssumeRolePolicyDocument"], arn, unique_id)


def _replaced(policy: str, arn: str, unique_id: str) -> str:
    """Returns the policy with another principal. The values of conditions stay as they were written.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles
    """
    if arn not in policy:
        return policy
    document = json.loads(policy)
    for statement in document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]:
        for member in {"Principal", "NotPrincipal"} & statement.keys():
            statement[member] = json.loads(json.dumps(statement[member]).replace(arn, unique_id))
    return json.dumps(document)
