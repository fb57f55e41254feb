"""The settings of the functions, which the template passes in environment variables."""

from __future__ import annotations

import os
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
    clean_up_state_machine_arn: str = ""
    end_request_state_machine_arn: str = ""
    own_role_arns: tuple[str, ...] = ()
    create_secret_role_arn: str = ""
    planned_roles: tuple[str, ...] = ()
    validate_role_arn: str = ""
    audit_table: str = ""
    data_bucket: str = ""
    max_repairs: int = 0
    reconcile_state_machine_arn: str = ""
    remediation_mode: str = ""

    @property
    def key_writers(self) -> tuple[str, ...]:
        """The roles of the functions that write key policies."""
        return (self.create_key_role_arn, self.attach_role_arn, self.remove_role_arn, self.undo_role_arn)


@cache
def settings() -> Settings:
    """The settings of this function, read once. Raises KeyError with the name of a variable that is missing.

    Lambda sets `AWS_REGION`; the template sets the other variables.
    """
    env = os.environ
    return Settings(
        place=Place(partition=env["AWS_PARTITION"], account=env["ACCOUNT_ID"], region=env["AWS_REGION"]),
        access_table=env["ACCESS_TABLE"],
        request_bus=env["REQUEST_BUS"],
        stack=env["STACK_NAME"],
        secret_prefix=env["SECRET_PREFIX"],
        adopted_secret_prefix=env["ADOPTED_SECRET_PREFIX"],
        allow_http_origins=env["ALLOW_HTTP_ORIGINS"] == "true",
        trusted_principal_patterns=_list(env["TRUSTED_PRINCIPAL_PATTERNS"]),
        allowed_partner_accounts=_list(env["ALLOWED_PARTNER_ACCOUNTS"]),
        accepted_grantees=_list(env["ACCEPTED_GRANTEES"]),
        allowed_origin_hosts=_list(env["ALLOWED_ORIGIN_HOSTS"]),
        configure_role_arn=env["CONFIGURE_ROLE_ARN"],
        create_key_role_arn=env["CREATE_KEY_ROLE_ARN"],
        attach_role_arn=env["ATTACH_ROLE_ARN"],
        undo_role_arn=env["UNDO_ROLE_ARN"],
        remove_role_arn=env["REMOVE_ROLE_ARN"],
        reader_boundary_arn=env["READER_BOUNDARY_ARN"],
        grace_seconds=int(env["GRACE_SECONDS"]),
        tenant_parameters=f"/{env['STACK_NAME']}/tenants",
        onboard_state_machine_arn=env.get("ONBOARD_STATE_MACHINE_ARN", ""),
        offboard_state_machine_arn=env.get("OFFBOARD_STATE_MACHINE_ARN", ""),
        rotate_state_machine_arn=env.get("ROTATE_STATE_MACHINE_ARN", ""),
        clean_up_state_machine_arn=env.get("CLEAN_UP_STATE_MACHINE_ARN", ""),
        end_request_state_machine_arn=env.get("END_REQUEST_STATE_MACHINE_ARN", ""),
        own_role_arns=_list(env.get("OWN_ROLE_ARNS", "")),
        create_secret_role_arn=env.get("CREATE_SECRET_ROLE_ARN", ""),
        planned_roles=_list(env.get("PLANNED_ROLES", "")),
        validate_role_arn=env.get("VALIDATE_ROLE_ARN", ""),
        audit_table=env.get("AUDIT_TABLE", ""),
        data_bucket=env.get("DATA_BUCKET", ""),
        max_repairs=int(env.get("MAX_REPAIRS", "0")),
        reconcile_state_machine_arn=env.get("RECONCILE_STATE_MACHINE_ARN", ""),
        remediation_mode=env.get("REMEDIATION_MODE", ""),
    )


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())
