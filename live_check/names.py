"""The names and tags by which everything that a live check creates is found and removed."""

import secrets
from dataclasses import dataclass

PREFIX = "latchkey-live-check"
TAG = "latchkey:live-check"


@dataclass(frozen=True)
class Run:
    """One run in one account and Region. `caller_arn` is the ARN of the user or role session that runs the check."""

    account: str
    region: str
    partition: str
    caller_arn: str
    id: str

    @property
    def prefix(self) -> str:
        return f"{PREFIX}-{self.id}"

    @property
    def secret_prefix(self) -> str:
        return f"{PREFIX}/{self.id}"

    @property
    def tags(self) -> dict[str, str]:
        return {TAG: self.prefix}


def new_id() -> str:
    return secrets.token_hex(4)


def is_named_by_us(name: str) -> bool:
    return name.startswith((f"{PREFIX}-", f"{PREFIX}/")) or name == PREFIX
