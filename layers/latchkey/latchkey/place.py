"""The partition, account and Region in which the stack runs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Place(BaseModel):
    """Where the stack runs. ARNs that it builds or accepts must belong to this place."""

    model_config = ConfigDict(frozen=True)

    partition: str
    account: str
    region: str

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """The ARN of a resource in this place. Use `region=""` for global services such as IAM."""
        return f"arn:{self.partition}:{service}:{self.region if region is None else region}:{self.account}:{resource}"
