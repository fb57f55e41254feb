"""The settings of a resource before its first onboarding, which an offboarding restores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latchkey.systems.system import Configuration


@dataclass(frozen=True)
class FormerSettings:
    """The full settings of a resource before its first onboarding, and those that the last one left.

    `found` is None if Latchkey created the resource, and `left` if its settings could not be read afterwards.
    """

    found: Mapping[str, Any] | None
    left: Mapping[str, Any] | None


def former_settings(
    configuration: Configuration, known: FormerSettings | None, found: Mapping[str, Any] | None, left: Mapping[str, Any] | None
) -> FormerSettings:
    """The former settings after an onboarding that `found` and `left` these settings.

    What an earlier onboarding set is no former setting, so the values that it found stay, except where the owner has changed
    the resource since.
    """
    if found is None or known is None or known.found is None or known.left is None:
        return FormerSettings(found, left)
    return FormerSettings(configuration.restored_settings(found, known.found, known.left), left)
