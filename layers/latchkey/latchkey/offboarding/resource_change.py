"""What an offboarding does with the consumer resource. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from latchkey.access.desired import Desired
from latchkey.access.former_settings import FormerSettings
from latchkey.removal.resource import settings_to_restore
from latchkey.systems.system import Configuration, Configured

Choice = Literal["restore", "detach", "delete", "leave"]


@dataclass(frozen=True)
class ResourceChange:
    """`action` is `none` if the resource does not use the secret, and `leave` if it stays as it is and can still use it.

    `settings` are the complete settings to write. `reason` says why the resource is not restored or not changed.
    """

    action: Literal["none", "restore", "detach", "delete", "leave"]
    settings: Mapping[str, Any] | None = None
    reason: str = ""

    @property
    def changes(self) -> bool:
        """Whether the resource is updated or deleted."""
        return self.updates or self.action == "delete"

    @property
    def updates(self) -> bool:
        """Whether the resource is updated."""
        return self.action in ("restore", "detach")


NOT_RECORDED = "its settings before the first onboarding are not recorded"
CREATED = "Latchkey created it"
CHANGED = "its owner has changed where the token is sent"
STILL_USED = "it used the secret before the first onboarding"
NO_API = "no API call removes the secret from it"
OWNERS = "its owner configures it"
ASKED = "resource is leave in the request"


def uses_secret(desired: Desired, present: Configured) -> bool:
    """Whether a resource is configured with the secret of the access."""
    return any(desired.is_secret(arn) for arn in (present.secret_arn, *present.more_secret_arns))


def change_of(
    desired: Desired, choice: Choice, present: Configured | None, former: FormerSettings | None, *, created: bool
) -> ResourceChange:
    """What to do with a resource. `created` means that Latchkey created it for this access."""
    configuration = desired.system.configuration
    if configuration is None or present is None:
        return ResourceChange("none")
    if choice == "delete":
        return ResourceChange("delete")
    if not uses_secret(desired, present):
        return ResourceChange("none")
    if choice == "leave" or desired.hands_off:
        return ResourceChange("leave", reason=OWNERS if desired.hands_off else ASKED)
    if choice == "restore" and not created and former is not None and former.found is not None:
        return _restored(desired, configuration, present, former.found, former.left or present.full_settings)
    reason = "" if choice == "detach" else CREATED if created else NOT_RECORDED
    return _detached(desired, configuration, present, reason)


def _restored(
    desired: Desired,
    configuration: Configuration,
    present: Configured,
    found: Mapping[str, Any],
    left: Mapping[str, Any],
) -> ResourceChange:
    """Sets the former settings back, except those that the owner has changed since."""
    settings = settings_to_restore(desired, configuration, present, found, left)
    if settings is None:
        return _detached(desired, configuration, present, CHANGED)
    if configuration.names_secret(settings, desired.is_secret):
        if configuration.names_secret(found, desired.is_secret):
            return ResourceChange("leave", reason=STILL_USED)
        return _detached(desired, configuration, present, CHANGED)
    if not configuration.can_be_removed and not any(settings.get(member) for member in configuration.our_settings):
        return ResourceChange("leave", reason=NO_API)
    return ResourceChange("restore", settings)


def _detached(desired: Desired, configuration: Configuration, present: Configured, reason: str) -> ResourceChange:
    own = next(arn for arn in (present.secret_arn, *present.more_secret_arns) if arn and desired.is_secret(arn))
    settings = configuration.without_secret(present.full_settings, own)
    if settings is None:
        return ResourceChange("leave", reason=NO_API)
    return ResourceChange("detach", settings, reason)
