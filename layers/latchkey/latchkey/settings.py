"""The settings of the functions, which the template passes in environment variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel, ConfigDict

from latchkey.place import Place


class Settings(BaseModel):
    """One field for each environment variable, and the place of the stack."""

    model_config = ConfigDict(frozen=True)

    place: Place
    access_table: str
    request_bus: str
    stack: str
    secret_prefix: str
    adopted_secret_prefix: str
    allow_http_origins: bool
    trusted_principal_patterns: tuple[str, ...]
    allowed_origin_hosts: tuple[str, ...]
    allowed_partner_accounts: tuple[str, ...]
    accepted_grantees: tuple[str, ...]
    configure_role_arn: str
    create_key_role_arn: str
    attach_role_arn: str
    undo_role_arn: str
    remove_role_arn: str
    reader_boundary_arn: str
    grace_seconds: int
    tenant_parameters: str
    onboard_state_machine_arn: str = ""
    offboard_state_machine_arn: str = ""
    rotate_state_machine_arn: str = ""
    bulk_state_machine_arn: str = ""
    discover_state_machine_arn: str = ""
    clean_up_state_machine_arn: str = ""
    end_request_state_machine_arn: str = ""
    own_role_arns: tuple[str, ...] = ()
    create_secret_role_arn: str = ""
    planned_roles: tuple[str, ...] = ()
    validate_role_arn: str = ""
    audit_table: str = ""
    data_bucket: str = ""
    max_repairs: int = 0
    raised_quotas: Mapping[str, float] = {}
    reconcile_state_machine_arn: str = ""
    remediation_mode: str = ""

    @property
    def key_writers(self) -> tuple[str, ...]:
        """The roles of the functions that write key policies."""
        return (self.create_key_role_arn, self.attach_role_arn, self.remove_role_arn, self.undo_role_arn)


@dataclass(frozen=True)
class _Arns:
    """The ARNs of what variables name; empty if a variable is empty.

    Earlier versions passed ARNs, in variables whose names end in _ARN. They count if a layer is deployed without its template.
    """

    env: Mapping[str, str]
    place: Place

    def role(self, variable: str, default: str | None = None) -> str:
        return self._arn(variable, default, lambda name: self.place.arn("iam", f"role/{name}", region=""))

    def roles(self, variable: str, former: str) -> tuple[str, ...]:
        """The ARNs of roles whose names are separated by commas."""
        names = _list(self.env.get(variable, ""))
        given = tuple(self.place.arn("iam", f"role/{name}", region="") for name in names)
        return given or _list(self.env.get(former, ""))

    def policy(self, variable: str) -> str:
        return self._arn(variable, None, lambda name: self.place.arn("iam", f"policy/{name}", region=""))

    def state_machine(self, variable: str) -> str:
        return self._arn(variable, "", lambda name: self.place.arn("states", f"stateMachine:{name}"))

    def _arn(self, variable: str, default: str | None, arn_of: Callable[[str], str]) -> str:
        name, former = self.env.get(variable), self.env.get(f"{variable}_ARN", default)
        if name is None and former is None:
            raise KeyError(variable)
        return arn_of(name) if name else former or ""


@cache
def settings() -> Settings:
    """The settings of this function, read once. Raises KeyError with the name of a variable that is missing.

    Lambda sets `AWS_REGION`; the template sets the other variables. Roles, the boundary and state machines are given by name,
    because all variables of a function have at most 4 KB: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    env = os.environ
    place = Place(partition=env["AWS_PARTITION"], account=env["ACCOUNT_ID"], region=env["AWS_REGION"])
    arns = _Arns(env, place)
    return Settings(
        place=place,
        access_table=env["ACCESS_TABLE"],
        request_bus=f"{env['STACK_NAME']}-requests",
        stack=env["STACK_NAME"],
        secret_prefix=env["SECRET_PREFIX"],
        adopted_secret_prefix=env["ADOPTED_SECRET_PREFIX"],
        allow_http_origins=env["ALLOW_HTTP_ORIGINS"] == "true",
        trusted_principal_patterns=_list(env["TRUSTED_PRINCIPAL_PATTERNS"]),
        allowed_partner_accounts=_list(env["ALLOWED_PARTNER_ACCOUNTS"]),
        accepted_grantees=_list(env["ACCEPTED_GRANTEES"]),
        allowed_origin_hosts=_list(env["ALLOWED_ORIGIN_HOSTS"]),
        configure_role_arn=arns.role("CONFIGURE_ROLE"),
        create_key_role_arn=arns.role("CREATE_KEY_ROLE"),
        attach_role_arn=arns.role("ATTACH_ROLE"),
        undo_role_arn=arns.role("UNDO_ROLE"),
        remove_role_arn=arns.role("REMOVE_ROLE"),
        reader_boundary_arn=arns.policy("READER_BOUNDARY"),
        grace_seconds=int(env["GRACE_SECONDS"]),
        tenant_parameters=f"/{env['STACK_NAME']}/tenants",
        onboard_state_machine_arn=arns.state_machine("ONBOARD_STATE_MACHINE"),
        offboard_state_machine_arn=arns.state_machine("OFFBOARD_STATE_MACHINE"),
        rotate_state_machine_arn=arns.state_machine("ROTATE_STATE_MACHINE"),
        bulk_state_machine_arn=arns.state_machine("BULK_STATE_MACHINE"),
        discover_state_machine_arn=arns.state_machine("DISCOVER_STATE_MACHINE"),
        clean_up_state_machine_arn=arns.state_machine("CLEAN_UP_STATE_MACHINE"),
        end_request_state_machine_arn=arns.state_machine("END_REQUEST_STATE_MACHINE"),
        own_role_arns=arns.roles("OWN_ROLES", "OWN_ROLE_ARNS"),
        create_secret_role_arn=arns.role("CREATE_SECRET_ROLE", ""),
        planned_roles=_list(env.get("PLANNED_ROLES", "")),
        validate_role_arn=arns.role("VALIDATE_ROLE", ""),
        audit_table=env.get("AUDIT_TABLE", ""),
        data_bucket=env.get("DATA_BUCKET", ""),
        max_repairs=int(env.get("MAX_REPAIRS", "0")),
        raised_quotas=_numbers(env.get("RAISED_QUOTAS", "")),
        reconcile_state_machine_arn=arns.state_machine("RECONCILE_STATE_MACHINE"),
        remediation_mode=env.get("REMEDIATION_MODE", ""),
    )


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _numbers(value: str) -> dict[str, float]:
    """Numbers by name, from `name=number` separated by commas."""
    return {name: float(number) for name, _, number in (part.partition("=") for part in _list(value))}
