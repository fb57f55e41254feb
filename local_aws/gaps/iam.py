"""IAM: boundaries set by CloudFormation, ContextEntries in simulations, and principals that are remembered by id."""

import contextvars
import json
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import iam, kms, secretsmanager
from ministack.services.cloudformation import provisioners

from local_aws.gaps.patching import Around, wrap, wrap_item

_entries: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("context_entries", default=None)


def apply() -> None:
    role = provisioners._RESOURCE_HANDLERS["AWS::IAM::Role"]
    wrap_item(role, "create", _create_role)
    wrap_item(role, "update", _update_role)
    wrap_item(role, "delete", _delete_role_of_stack)
    wrap_item(iam._IAM_HANDLERS, "DeleteRole", _delete_role)
    wrap_item(iam._IAM_HANDLERS, "SimulatePrincipalPolicy", _simulate)
    wrap(iam_evaluator, "evaluate", _evaluate)


def _create_role(original: Around, logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
    """ministack 1.5.33: a PermissionsBoundary in a template is dropped."""
    made = original(logical_id, props, stack_name)
    iam._roles[made[0]]["PermissionsBoundary"] = props.get("PermissionsBoundary")
    return made


def _update_role(original: Around, physical_id: str, old: Any, new: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    made = original(physical_id, old, new, *args, **kwargs)
    iam._roles[made[0]]["PermissionsBoundary"] = new.get("PermissionsBoundary")
    return made


def _delete_role(original: Around, params: Any) -> Any:
    """ministack 1.5.33: a policy that names a deleted role admits its successor of the same name.

    AWS shows the role's unique id in its place from then on, and admits nobody by it.
    """
    role = iam._roles.get(iam._p(params, "RoleName"))
    response = original(params)
    if role and iam._roles.get(role["RoleName"]) is None:
        _forget_principal(json.dumps(role["Arn"]), json.dumps(role["RoleId"]))
    return response


def _delete_role_of_stack(original: Around, physical_id: str, props: dict[str, Any]) -> None:
    role = iam._roles.get(physical_id)
    original(physical_id, props)
    if role:
        _forget_principal(json.dumps(role["Arn"]), json.dumps(role["RoleId"]))


def _forget_principal(arn: str, unique_id: str) -> None:
    account = get_account_id()
    for (owner, _, _), key in kms._keys._data.items():
        if owner == account and arn in key.get("Policy", ""):
            key["Policy"] = key["Policy"].replace(arn, unique_id)
    for place, policy in secretsmanager._resource_policies._data.items():
        if place[0] == account and arn in policy:
            secretsmanager._resource_policies._data[place] = policy.replace(arn, unique_id)
    for role in iam._roles.values():
        role["AssumeRolePolicyDocument"] = role["AssumeRolePolicyDocument"].replace(arn, unique_id)


def _simulate(original: Around, params: Any) -> Any:
    """ministack 1.5.33: SimulatePrincipalPolicy leaves ContextEntries and the boundary out."""
    found: dict[str, Any] = {}
    index = 1
    while name := iam._p(params, f"ContextEntries.member.{index}.ContextKeyName"):
        prefix = f"ContextEntries.member.{index}.ContextKeyValues.member."
        values: list[str] = []
        while value := iam._p(params, f"{prefix}{len(values) + 1}"):
            values.append(value)
        found[name.lower()] = values[0] if len(values) == 1 else values
        index += 1
    token = _entries.set(found)
    try:
        return original(params)
    finally:
        _entries.reset(token)


def _evaluate(original: Around, ctx: Any, policies: Any, *limits: Any) -> Any:
    """Within a simulation, evaluates with the entries given and within the boundary of the simulated role."""
    given = _entries.get()
    if given is not None:
        ctx.service_context |= given
        name = ctx.principal_arn.rsplit("/", 1)[-1]
        limits = (*limits, *iam_evaluator._permissions_boundary(iam._roles, name, ctx.principal_account))
    return original(ctx, policies, *limits)
