"""The partition, account and Region in which the stack runs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Place(BaseModel):
    """Where this stack runs; every ARN it makes or accepts is compared with it."""

    model_config = ConfigDict(frozen=True)

    partition: str
    account: str
    region: str

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """The ARN of a resource here; give `region=""` for global services such as IAM."""
        return f"arn:{self.partition}:{service}:{self.region if region is None else region}:{self.account}:{resource}"
