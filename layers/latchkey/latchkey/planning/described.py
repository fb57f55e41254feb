"""Describes planned changes in the form of an outcome. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from latchkey.access.desired import Desired
from latchkey.access.plan import Action, Change, change_of_policy, changes_of_settings
from latchkey.aws.clients import Clients
from latchkey.aws.planned import PlannedResource, State
from latchkey.systems.system import Configured
from latchkey.tags import REQUEST

_NOTHING = State()


def described(resource: PlannedResource, *, name: str | None = None, adopted: bool = False) -> Change:
    """The change of a key, alias, secret or role. `name` is what it is called before it has an ARN.

    The tag with the request ID is left out, because the request that follows the plan has another one.
    """
    before, after = resource.before or _NOTHING, resource.after or _NOTHING
    documents = sorted({*before.policies, *after.policies})
    changed = [change_of_policy(one, before.policies.get(one), after.policies.get(one)) for one in documents]
    tags = {key: value for key, value in after.tags.items() if key != REQUEST} if resource.before is None else {}
    created: Mapping[str, Any] = {"tags": tags} if tags else {}
    return Change(
        action=_action(resource, adopted=adopted),
        kind=resource.kind,
        name=name or resource.name,
        settings=changes_of_settings(before.settings, {**after.settings, **created, **resource.removal}),
        policies=tuple(one for one in changed if one is not None),
    )


def read_resource(desired: Desired, clients: Clients) -> Configured | None:
    """The present configuration of the consumer resource, or None if it does not exist."""
    configuration = desired.system.configuration
    return configuration.read(clients.client_for(configuration.service), desired.resource) if configuration else None


def stays(kind: str, name: str) -> Change:
    """A resource that the request uses as it is."""
    return Change(action="none", kind=kind, name=name)


def resource_change(kind: str, before: Configured, after: Configured | None) -> Change:
    """The change of a consumer resource that exists, between two reads of it. `after` is None if it is removed."""
    documents = (one.full_settings.get("Policy") if one else None for one in (before, after))
    changed = change_of_policy("resource policy", *(json.loads(text) if text else None for text in documents))
    settings = changes_of_settings(before.settings, after.settings if after else None)
    is_changed = after is None or bool(settings) or changed is not None
    action: Action = "none" if not is_changed else "update" if after else "remove"
    return Change(
        action=action, kind=kind, name=before.arn, settings=settings, policies=(changed,) if changed is not None else ()
    )


def _action(resource: PlannedResource, *, adopted: bool) -> Action:
    if resource.before is None:
        return "create"
    if resource.after is None:
        return "remove"
    return "adopt" if adopted else "update"
