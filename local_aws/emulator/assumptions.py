"""Assumptions about behavior that AWS does not document, each a switch. An application must work with every value."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class _Switches(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True)


class Trail(_Switches):
    """How reliably CloudTrail events reach EventBridge. AWS promises neither order nor delivery exactly once."""

    lose: float = Field(default=0, ge=0, le=1)
    duplicate: float = Field(default=0, ge=0, le=1)
    delay_seconds: float = Field(default=0, ge=0)
    shuffle: bool = False


class SourceAccountSent(_Switches):
    """Whether a service sends `aws:SourceAccount` and `aws:SourceArn` when it reads a secret or assumes a role."""

    mediatailor: bool = False
    mediapackage: bool = True
    mediapackage_vod: bool = Field(default=True, alias="mediapackage-vod")
    mediapackagev2: bool = True
    mediaconnect: bool = True

    def by(self, service: str) -> bool:
        """Returns the value of a service (`mediapackage-vod`)."""
        return bool(getattr(self, service.replace("-", "_")))


class Assumptions(_Switches):
    """One value for each undocumented point. The defaults are the most likely reading of the documentation."""

    mediatailor_retires: Literal["at-once", "late", "never"] = "at-once"
    late_seconds: float = Field(default=3, ge=0)
    # Whether a late retirement also retires a grant that a recreated source location uses again.
    late_retires_reused: bool = False
    grant_form: Literal["principal", "service-principal"] = "principal"
    trail_member_case: Literal["pascal", "camel"] = "pascal"
    recreated_grant: Literal["same-id", "new-id"] = "same-id"
    tag_lag_seconds: float = Field(default=0, ge=0)
    grant_lag_seconds: float = Field(default=0, ge=0)
    location_lag_seconds: float = Field(default=0, ge=0)
    clock_seconds: float | None = Field(default=None, ge=0)
    missing_status: Literal[404, 400] = 404
    update_retires: bool = False
    caller_needs_decrypt: bool = False
    source_account_sent: SourceAccountSent = SourceAccountSent()
    omitted_on_put: Literal["keep", "clear"] = "keep"
    sources_first: bool = True
    empty_pages: bool = False
    cdn_auth_delay_seconds: float = Field(default=0, ge=0)
    trail: Trail = Trail()


class _Current:
    """The current values. Tests change them with PUT /_local/assumptions."""

    def __init__(self) -> None:
        self.value = Assumptions()

    def update(self, changes: dict[str, object]) -> Assumptions:
        """Merges `changes`, which have wire names, into the current values and returns them. Raises ValidationError."""
        merged = self.value.model_dump(by_alias=True) | changes
        self.value = Assumptions.model_validate(merged)
        return self.value

    def reset(self) -> Assumptions:
        self.value = Assumptions()
        return self.value


CURRENT = _Current()
