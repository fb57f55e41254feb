"""Event buses that are called from another account. The callers of an account have access keys of it.

Root user of an account: its number is the access key. Roles: AssumeRole returns keys of the account of the role.
"""

import json
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region, json_response, request_scope
from ministack.services import eventbridge, organizations

from local_aws.emulator.gaps.patching import Around, wrap


@dataclass
class _Sender:
    """The account of the sender during the call; afterwards empty, because tasks that the call started keep the context."""

    account: str


_sender: ContextVar[_Sender | None] = ContextVar("sender", default=None)


def apply() -> None:
    iam_evaluator._RESOURCE_POLICY_LOOKUPS["events"] = ("eventbridge", "bus_policy_for_arn")
    eventbridge.bus_policy_for_arn = _bus_policy
    wrap(iam_evaluator, "enforce", _enforce)
    wrap(iam_evaluator, "_principal_org_id", _organization)
    wrap(eventbridge, "_put_permission", _put_permission)
    wrap(eventbridge, "_put_events", _put_events)
    wrap(eventbridge, "_pattern_event_view", _event_view)


def _bus_policy(arn: str) -> tuple[str, str] | None:
    """Gap: event bus policies are stored but not evaluated. A bus without policy allows nothing to other accounts."""
    _, _, _, region, account, resource = arn.split(":", 5)
    kind, _, name = resource.partition("/")
    if kind != "event-bus":
        return None
    policy = eventbridge._event_bus_policies.get_scoped(account, region, name) or {"Statement": []}
    return json.dumps(policy), account


def _organization(original: Around, account: str) -> str | None:
    """Gap: only the management account has `aws:PrincipalOrgID`. On AWS, every member account has it, too.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalorgid
    """
    own: str | None = original(account)
    owners = (owner for owner, member in organizations._accounts._data if member == account)
    return own or next(map(original, owners), None)


def _put_permission(original: Around, data: dict[str, Any]) -> Any:
    """Gap: `Policy` is ignored, and everyone is admitted. On AWS, it replaces the policy of the bus.

    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutPermission.html
    """
    if "Policy" not in data:
        return original(data)
    eventbridge._event_bus_policies[data.get("EventBusName", "default")] = json.loads(data["Policy"])
    return json_response({})


def _enforce(
    original: Around,
    access_key: str,
    iam_action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: dict[str, Any] | None = None,
) -> Any:
    """Gap: the root user of any account can do everything. On AWS, a bus of another account must allow it."""
    denied = original(access_key, iam_action, service, region, resource_arn, service_context)
    found = _bus_policy(resource_arn) if service == "events" and resource_arn.startswith("arn:") else None
    if denied or found is None or found[1] == get_account_id():
        return denied
    principal = iam_evaluator.resolve_principal(access_key, get_account_id())
    context = iam_evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=iam_action,
        resource_arn=resource_arn,
        region=region,
        service_context={name.lower(): value for name, value in (service_context or {}).items()},
        principal_keys=principal.keys,
    )
    result = iam_evaluator.evaluate_resource_policy(found[0], context)
    return None if result.decision == "Allow" else iam_evaluator.EvalResult(result.decision, principal_arn=principal.arn)


def _put_events(original: Around, data: dict[str, Any], allow_aws_source: bool = False) -> Any:
    """Gap: a bus of another account is not found. On AWS, it gets the event, whose `account` is that of the sender.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html
    """
    entries = data.get("Entries", [])
    own = get_account_id()
    owners = [_owner(entry.get("EventBusName")) or own for entry in entries]
    if len(entries) > 10 or {*owners} <= {own}:
        return original(data, allow_aws_source)
    results = [_put(original, entry, owner) for entry, owner in zip(entries, owners, strict=True)]
    return json_response({"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results})


def _owner(bus: str | None) -> str:
    return bus.split(":")[4] if bus and bus.startswith("arn:") and bus.count(":") >= 5 else ""


def _put(original: Around, entry: dict[str, Any], owner: str) -> dict[str, Any]:
    sender = _Sender(get_account_id())
    token = _sender.set(sender)
    try:
        with request_scope(owner, get_region()):
            _, _, body = original({"Entries": [entry]})
    finally:
        sender.account = ""
        _sender.reset(token)
    result: dict[str, Any] = json.loads(body)["Entries"][0]
    return result


def _event_view(original: Around, event: dict[str, Any]) -> Any:
    sender = _sender.get()
    if sender and sender.account:
        event["Account"] = sender.account
    return original(event)
