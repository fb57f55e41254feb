"""What decides about findings in addition to what the checks of an access read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from latchkey.policies import Statement


@dataclass(frozen=True)
class Circumstances:
    """What was read about an access besides its resources. None: it was not read, so nothing is concluded.

    `recorded_at` is when a request last recorded the access. `aliases` are all aliases of its key, and `alias_target` is the
    key that the alias of the request names if it is none of them. `asked` are the statements that the other accesses of the
    secret need in its policy. `value_problem` is the rule that the current value of the secret breaks.
    """

    recorded_at: datetime | None = None
    aliases: tuple[str, ...] | None = None
    alias_target: str | None = None
    asked: tuple[Statement, ...] | None = None
    value_problem: str | None = None


@dataclass(frozen=True)
class Remains:
    """What still exists of an access whose key or secret does not. `exists` is what was read of each ARN.

    `resource_exists` is None if no API shows the resource. `replacement` is the ARN of another secret with the name of the one
    that does not exist. `moved`: the current version of the secret is encrypted with another key.
    """

    exists: dict[str, bool]
    resource_exists: bool | None = None
    replacement: str | None = None
    moved: bool = False
