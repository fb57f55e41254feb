"""The result of an offboarding: what is scheduled for deletion, and whether the resource still reads the secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self


@dataclass(frozen=True)
class Offboarded:
    """The result of an offboarding in the registry.

    `reads`: the resource still uses the secret, so everything that it needs stays. `secret_arn` is a secret that is scheduled
    for deletion, and `secret_ends` when it can no longer be restored. `key_arn` is a key to be deleted after the secret is
    gone, with a waiting period of `waiting_days`.
    """

    request_id: str
    at: datetime
    reads: bool = False
    secret_arn: str | None = None
    secret_ends: datetime | None = None
    key_arn: str | None = None
    waiting_days: int = 30

    @property
    def wire(self) -> dict[str, Any]:
        """The JSON document in the registry."""
        return {
            "requestId": self.request_id,
            "at": self.at.isoformat(timespec="seconds"),
            "reads": self.reads,
            "secretArn": self.secret_arn,
            "secretEnds": self.secret_ends.isoformat(timespec="seconds") if self.secret_ends else None,
            "keyArn": self.key_arn,
            "waitingDays": self.waiting_days,
        }

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> Self:
        """The result in a JSON document of the registry."""
        return cls(
            request_id=wire["requestId"],
            at=datetime.fromisoformat(wire["at"]),
            reads=wire["reads"],
            secret_arn=wire["secretArn"],
            secret_ends=datetime.fromisoformat(wire["secretEnds"]) if wire["secretEnds"] else None,
            key_arn=wire["keyArn"],
            waiting_days=wire["waitingDays"],
        )
