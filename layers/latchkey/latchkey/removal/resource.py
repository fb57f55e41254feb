"""Restores the settings that a resource had before a request, except for what somebody else has changed since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from latchkey.access.desired import Desired
from latchkey.errors import Conflict
from latchkey.removal.removal import Removal
from latchkey.systems.system import Configuration, Configured


def settings_to_restore(
    desired: Desired,
    configuration: Configuration,
    present: Configured,
    found: Mapping[str, Any],
    left: Mapping[str, Any] | None,
) -> Mapping[str, Any] | None:
    """The full settings that restore those that a request `found`, or None if somebody else has changed what it `left`.

    `left` is None if it is unknown what the request left. If a resource sends the token to a URL, the URL and the secret belong
    together: the former token must not be sent to a URL that somebody else has set since, nor the token of this request to the
    former URL.
    """
    former = configuration.restored_settings(present.full_settings, found, present.full_settings)
    if configuration.is_same(former, present.full_settings):
        return former
    if left is None:
        return None
    if desired.resource.origin_url and configuration.settings_of_others(present.full_settings, found, left):
        return None
    restored = configuration.restored_settings(present.full_settings, found, left)
    return None if configuration.is_same(restored, present.full_settings) else restored


def restore_settings(
    removal: Removal,
    configuration: Configuration,
    latest: Configured,
    wanted: Mapping[str, Any],
    blocked_by: Callable[[Configured], str | None],
) -> str | None:
    """Writes former settings and reads them back. Returns the reason if the resource does not have them afterwards.

    `latest` was read immediately before. `blocked_by` returns the reason if the resource still reads the secret.
    """
    desired, client = removal.desired, removal.clients.client_for(configuration.service)
    try:
        configuration.restore_from(client, latest, wanted)
    except Conflict as conflict:
        return str(conflict)
    restored = configuration.read(client, desired.resource)
    if restored is None:
        return None
    present, former = configuration.comparable(restored.full_settings), configuration.comparable(wanted)
    # A service can omit a setting, or return it empty.
    different = sorted(
        member for member in configuration.our_settings if (present.get(member) or None) != (former.get(member) or None)
    )
    if not different:
        return None
    reason = blocked_by(restored) if desired.is_secret(restored.secret_arn) else None
    return reason or f"{restored.arn} did not take its former settings: set {', '.join(different)} by hand"
