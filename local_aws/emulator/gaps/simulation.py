"""SimulatePrincipalPolicy: uses the whole request, and reports the boundary's decision and missing context values.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from ministack.core import iam_evaluator as evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam

from local_aws.emulator.gaps.patching import Around, wrap_item

type Statements = list[list[Any]]

_DECISIONS = {"Allow": "allowed", "Deny": "explicitDeny", "ImplicitDeny": "implicitDeny"}
_PRINCIPAL_KEYS = ("aws:principal", "aws:userid", "aws:username", "aws:currenttime", "aws:epochtime")


def apply() -> None:
    wrap_item(iam._IAM_HANDLERS, "SimulatePrincipalPolicy", _simulate)


def _simulate(original: Around, params: Any) -> Any:
    """Gap: ContextEntries, boundaries, PolicyInputList, paths and all resources except the first are ignored."""
    arn = iam._p(params, "PolicySourceArn")
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    name = rest.rpartition("/")[2]
    store = {"role": iam._roles, "user": iam._users}.get(kind)
    if store is None:
        return original(params)
    found = store.get(name)
    if found is None or found["Arn"] != arn:
        return iam._error(404, "NoSuchEntity", f"The {kind} {arn} cannot be found.", ns="iam")
    gather = evaluator._gather_role_policies if kind == "role" else evaluator._gather_user_policies
    own = gather(name, get_account_id())
    own += [evaluator.parse_policy_document(text) for text in _listed(params, "PolicyInputList")]
    limits = evaluator._permissions_boundary(store, name, get_account_id())
    given = dict(_entries(params))
    results = "".join(
        _result(arn, action, resource, own, limits, given)
        for action in _listed(params, "ActionNames")
        for resource in _listed(params, "ResourceArns") or ["*"]
    )
    answer = f"<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
    body = f"<SimulatePrincipalPolicyResult>{answer}</SimulatePrincipalPolicyResult>"
    return iam._xml(200, "SimulatePrincipalPolicyResponse", body, ns="iam")


def _result(arn: str, action: str, resource: str, own: Statements, limits: list[Statements], given: dict[str, Any]) -> str:
    ctx = evaluator.EvalContext(
        principal_arn=arn,
        principal_type="AssumedRole" if ":role/" in arn else "User",
        principal_account=get_account_id(),
        action=action,
        resource_arn=resource,
        region=get_region(),
        service_context={name.lower(): value for name, value in given.items()},
    )
    decision = _DECISIONS[evaluator.evaluate(ctx, own, *limits).decision]
    missing = "".join(f"<member>{escape(key)}</member>" for key in _missing([own, *limits], given))
    parts = [
        f"<EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>{escape(resource)}</EvalResourceName>",
        f"<EvalDecision>{decision}</EvalDecision><MatchedStatements></MatchedStatements>",
        f"<MissingContextValues>{missing}</MissingContextValues>",
    ]
    for limit in limits:
        allowed = str(evaluator.evaluate(ctx, limit).decision == "Allow").lower()
        detail = f"<AllowedByPermissionsBoundary>{allowed}</AllowedByPermissionsBoundary>"
        parts.append(f"<PermissionsBoundaryDecisionDetail>{detail}</PermissionsBoundaryDecisionDetail>")
    return f"<member>{''.join(parts)}</member>"


def _missing(layers: list[Statements], given: dict[str, Any]) -> list[str]:
    """Returns the condition keys in the policies that neither the request nor the principal provides."""
    known = {name.lower() for name in given}
    asked = {
        key
        for layer in layers
        for statements in layer
        for statement in statements
        for block in statement.conditions.values()
        for key in block
    }
    return sorted(key for key in asked if key.lower() not in known and not key.lower().startswith(_PRINCIPAL_KEYS))


def _entries(params: Any) -> Iterator[tuple[str, Any]]:
    index = 1
    while name := iam._p(params, f"ContextEntries.member.{index}.ContextKeyName"):
        values = _listed(params, f"ContextEntries.member.{index}.ContextKeyValues")
        # A list stays a list with one value: only set operators compare it.
        is_list = iam._p(params, f"ContextEntries.member.{index}.ContextKeyType").endswith("List")
        yield name, values if is_list or len(values) != 1 else values[0]
        index += 1


def _listed(params: Any, member: str) -> list[str]:
    values: list[str] = []
    while value := iam._p(params, f"{member}.member.{len(values) + 1}"):
        values.append(value)
    return values
