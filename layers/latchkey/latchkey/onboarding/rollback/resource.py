"""Restores the former settings of a resource, or deletes a resource that the request created."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from latchkey.access.desired import Desired
from latchkey.aws.errors import is_settling
from latchkey.errors import NotYetEffective
from latchkey.onboarding.rollback.rollback import Decision, Rollback
from latchkey.registry.journal import RESOURCE, UNSEEN, Entry
from latchkey.removal.resource import restore_settings, settings_to_restore
from latchkey.systems.system import Configuration, Configured, CreatingConfiguration


def roll_back_resource(rollback: Rollback, entry: Entry) -> str | None:
    """Restores or deletes the resource, except for what somebody else has changed since.

    If the resource still reads the secret afterwards, returns the reason: the secret, its key and its role must then stay.
    """
    desired, configuration = rollback.desired, rollback.desired.system.configuration
    if configuration is None:
        return None
    present = configuration.read(rollback.clients.client_for(configuration.service), desired.resource)
    if present is None:
        # A resource that this request created may exist without being visible yet.
        if entry.result == UNSEEN and is_settling(entry.noted):
            raise NotYetEffective(f"the resource of {desired.access_id} was created and cannot be read yet")
        return None
    if _can_return(rollback, entry, configuration, present):
        return f"{present.arn} waits for the rollback of a later request, which found the settings of this one"
    if not desired.is_secret(present.secret_arn) or _is_in_use(rollback, entry, configuration, present):
        return None
    act = _delete if entry.found is None else _restore
    return act(rollback, entry, configuration, present)


def _can_return(rollback: Rollback, entry: Entry, configuration: Configuration, present: Configured) -> bool:
    """Whether the rollback of another request of this access will restore what this request left."""
    is_same = configuration.is_same
    if entry.result is None or is_same(entry.result, present.full_settings):
        return False
    others = rollback.entries_of_others(RESOURCE)
    return any(is_same(other.found, entry.result) and is_same(other.result, present.full_settings) for other in others)


def _is_in_use(rollback: Rollback, entry: Entry, configuration: Configuration, present: Configured) -> bool:
    """Whether the record of the access, or its hand-off, names what this request set: a later request has succeeded since.

    A record whose resource was last observed without the secret, or was missing, does not count: this request replaced what the
    owner had set. Neither does a staged access, whose resource is configured after its confirmation.
    """
    for one in rollback.recorded():
        if one.desired is None or one.record.status in ("detached", "gone"):
            continue
        if one.record.reached == "handed-off" and one.desired.configures:
            continue
        reading = one.desired.reading(one.record.key_arn, one.record.secret_arn or "")
        if configuration.wanted(one.desired.resource, reading) in (entry.wanted, present.settings):
            return True
    return False


def _delete(rollback: Rollback, entry: Entry, configuration: Configuration, present: Configured) -> str | None:
    """Deletes a resource that is still as this request created it."""
    desired, client = rollback.desired, rollback.clients.client_for(configuration.service)
    if not isinstance(configuration, CreatingConfiguration) or not _is_as_created(desired, entry, configuration, present):
        return _blocked_by(rollback, present)
    rollback.note(entry, f"deleted {present.arn}")
    # No call between the last read and the deletion: a change by the owner in between would be lost.
    latest = configuration.read(client, desired.resource)
    if latest is None or not desired.is_secret(latest.secret_arn):
        return None
    if not _is_as_created(desired, entry, configuration, latest):
        return _blocked_by(rollback, latest)
    configuration.delete(client, desired.resource)
    return None


def _is_as_created(desired: Desired, entry: Entry, configuration: Configuration, present: Configured) -> bool:
    """Whether the resource has the tag of this request, and the settings that the request left or, after a crash, wanted."""
    if not desired.made(present.tags):
        return False
    if entry.result in (None, UNSEEN):
        return present.settings == entry.wanted and not present.other_settings
    return configuration.is_same(present.full_settings, entry.result)


def _restore(rollback: Rollback, entry: Entry, configuration: Configuration, present: Configured) -> str | None:
    """Restores the members that this request set and nobody else has changed since."""
    desired, client = rollback.desired, rollback.clients.client_for(configuration.service)
    wanted = _wanted(desired, entry, configuration, present)
    if configuration.is_same(wanted, present.full_settings):
        return None  # it has its former settings
    if wanted is None:
        return _changed(rollback, present)
    rollback.note(entry, f"restored the former settings of {present.arn}")
    # No call between the last read and the write: a change by the owner in between would be lost.
    latest = configuration.read(client, desired.resource)
    if latest is None or not desired.is_secret(latest.secret_arn):
        return None
    wanted = _wanted(desired, entry, configuration, latest)
    if wanted is None:
        return _changed(rollback, latest)
    if configuration.is_same(wanted, latest.full_settings):
        return None
    return restore_settings(rollback.removal(entry), configuration, latest, wanted, partial(_blocked_by, rollback))


def _wanted(desired: Desired, entry: Entry, configuration: Configuration, present: Configured) -> Mapping[str, Any] | None:
    """The full settings that restore what this request set, or None if somebody else has changed that since."""
    left = entry.result if entry.result is not None else _as_left(present, entry)
    return settings_to_restore(desired, configuration, present, entry.found, left)


def _changed(rollback: Rollback, present: Configured) -> str | None:
    """The reason why a resource that somebody else has changed since stays as it is.

    If the access already read this secret before the request, nothing else of this request depends on the resource.
    """
    blocked = _blocked_by(rollback, present)
    if blocked or not rollback.desired.resource.origin_url:
        return blocked
    return Decision(
        f"{present.arn} keeps settings of this request, because the URL or the access configuration was changed afterwards: "
        "check where it sends the token, and reconfigure it by hand"
    )


def _as_left(present: Configured, entry: Entry) -> Mapping[str, Any] | None:
    """The settings that a request left if it crashed before it recorded them: those that have the wanted values."""
    return present.full_settings if present.settings == entry.wanted else None


def _blocked_by(rollback: Rollback, present: Configured) -> str | None:
    """The reason why the rollback must stop, or None if the access already read this secret before the request."""
    if rollback.is_recorded(rollback.desired.secret_resource):
        return None
    return f"{present.arn} still reads the secret of this request: remove or reconfigure the resource by hand"
