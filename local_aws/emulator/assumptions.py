"""Assumptions about behavior that AWS does not document, each a switch. An application must work with every value.

The fields of `Assumptions` are the only declaration: `values_to_try` derives what the tests and `make assumptions` run under.
"""

import os
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

BASE_VARIABLE = "LOCAL_AWS_ASSUMPTIONS"


@dataclass(frozen=True)
class Try:
    """The values of a switch to test, besides its default. A Boolean or Literal needs none: each of its values is tested.

    A switch with no values to try is a control of tests, and says nothing about AWS.
    """

    values: tuple[Any, ...]


_CONTROL = Try(())


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
    late_seconds: Annotated[float, _CONTROL] = Field(default=3, ge=0)
    # Whether a late retirement also retires a grant that a recreated source location uses again.
    late_retires_reused: bool = False
    grant_form: Literal["principal", "service-principal", "role"] = "principal"
    trail_member_case: Literal["pascal", "camel"] = "pascal"
    recreated_grant: Literal["same-id", "new-id"] = "same-id"
    tag_lag_seconds: Annotated[float, Try((3,))] = Field(default=0, ge=0)
    grant_lag_seconds: Annotated[float, Try((3,))] = Field(default=0, ge=0)
    location_lag_seconds: Annotated[float, Try((2,))] = Field(default=0, ge=0)
    clock_seconds: Annotated[float | None, _CONTROL] = Field(default=None, ge=0)
    missing_status: Literal[404, 400] = 404
    denial_status: Literal[403, 400] = 403
    empty_access: Literal["accept", "refuse", "keep"] = "accept"
    unchanged_update_renews: bool = True
    update_retires: bool = False
    caller_needs_decrypt: bool = False
    source_account_sent: SourceAccountSent = SourceAccountSent()
    forced_deletion_seconds: Annotated[float, Try((2,))] = Field(default=0, ge=0)
    omitted_on_put: Literal["keep", "clear"] = "keep"
    omitted_on_flow_update: Literal["keep", "clear"] = "keep"
    sources_first: bool = True
    empty_pages: bool = False
    token_cache_seconds: Annotated[float, Try((2,))] = Field(default=0, ge=0)
    flow_rereads: bool = False
    cdn_auth_delay_seconds: Annotated[float, Try((2,))] = Field(default=0, ge=0)
    key_validation: Literal["SecretVersionId", "SecretARN"] = "SecretVersionId"
    lockout_counts_tag_conditions: bool = True
    policy_order: Literal["shuffled", "kept"] = "shuffled"
    trail: Annotated[Trail, Try((Trail(duplicate=1, shuffle=True, delay_seconds=0.5),))] = Trail()


def values_to_try(switches: type[BaseModel] = Assumptions) -> list[dict[str, Any]]:
    """Returns every value of every switch but the defaults, one a dictionary as PUT /_local/assumptions takes it.

    The switches in a group are tried one by one. Raises TypeError for a switch whose type does not say what its values are, and
    which does not declare what to try.
    """
    return [{field.alias or name: value} for name, field in switches.model_fields.items() for value in _values_of(name, field)]


def _values_of(name: str, field: FieldInfo) -> list[Any]:
    declared = [found for found in field.metadata if isinstance(found, Try)]
    if declared:
        values: tuple[Any, ...] = declared[0].values
    elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return values_to_try(field.annotation)
    elif field.annotation is bool or get_args(field.annotation):
        values = get_args(field.annotation) or (False, True)
    else:
        raise TypeError(f"the switch {name} must declare which values to try")
    return [
        value.model_dump(by_alias=True) if isinstance(value, BaseModel) else value for value in values if value != field.default
    ]


class _Current:
    """The current values. Tests change them with PUT /_local/assumptions.

    A reset returns to the defaults, in which the JSON object in the variable LOCAL_AWS_ASSUMPTIONS replaces values.
    """

    def __init__(self) -> None:
        self.value = self.reset()

    def update(self, changes: dict[str, object]) -> Assumptions:
        """Merges `changes`, which have wire names, into the current values and returns them. Raises ValidationError."""
        merged = self.value.model_dump(by_alias=True) | changes
        self.value = Assumptions.model_validate(merged)
        return self.value

    def reset(self) -> Assumptions:
        self.value = Assumptions.model_validate_json(os.environ.get(BASE_VARIABLE) or "{}")
        return self.value


CURRENT = _Current()
