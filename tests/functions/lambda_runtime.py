"""The Lambda runtime of the tests: the handler of a function, its environment, and its context."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.contract.artifacts import ROOT
from tests.functions.account import ACCOUNT, AUDIT_TABLE, BUS, CONFIGURE_ROLE, DATA_BUCKET, OWN_ROLES, REGION, TABLE

PLANNED = (
    "ApplyToken", "CleanUpGrants", "DeleteSecret", "DetachResource", "PromoteToken", "RestoreAccess",
    "ValidateAccess", "WithdrawToken",
)  # fmt: skip
ENVIRONMENT = {
    "ACCESS_TABLE": TABLE,
    "ACCOUNT_ID": ACCOUNT,
    "ADOPTED_SECRET_PREFIX": "MediaPackage",
    "ACCEPTED_GRANTEES": "",
    "AUDIT_TABLE": AUDIT_TABLE,
    "DATA_BUCKET": DATA_BUCKET,
    "ALLOWED_ORIGIN_HOSTS": "",
    "ALLOWED_PARTNER_ACCOUNTS": "",
    "ALLOW_HTTP_ORIGINS": "false",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_PARTITION": "aws",
    "AWS_REGION": REGION,
    "CLEAN_UP_STATE_MACHINE_ARN": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:clean-up-grants",
    "MAX_REPAIRS": "2",
    "REMEDIATION_MODE": "audit",
    "RECONCILE_STATE_MACHINE_ARN": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:reconcile",
    "END_REQUEST_STATE_MACHINE_ARN": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:end-request",
    "CONFIGURE_ROLE_ARN": CONFIGURE_ROLE,
    "CREATE_KEY_ROLE_ARN": CONFIGURE_ROLE.replace("ConfigureAccess", "CreateKey"),
    "CREATE_SECRET_ROLE_ARN": CONFIGURE_ROLE.replace("ConfigureAccess", "CreateSecret"),
    "VALIDATE_ROLE_ARN": CONFIGURE_ROLE.replace("ConfigureAccess", "ValidateAccess"),
    "READER_BOUNDARY_ARN": f"arn:aws:iam::{ACCOUNT}:policy/latchkey-ReaderBoundary",
    "GRACE_SECONDS": "600",
    "ONBOARD_STATE_MACHINE_ARN": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:onboard-access",
    "OWN_ROLE_ARNS": OWN_ROLES,
    "PLANNED_ROLES": ",".join(f"latchkey-{name}FunctionRole" for name in PLANNED),
    "REQUEST_BUS": BUS,
    "SECRET_PREFIX": "latchkey/",
    "STACK_NAME": "latchkey",
    "ATTACH_ROLE_ARN": CONFIGURE_ROLE.replace("ConfigureAccess", "AttachPolicies"),
    "REMOVE_ROLE_ARN": CONFIGURE_ROLE.replace("ConfigureAccess", "RemovePolicies"),
    "UNDO_ROLE_ARN": CONFIGURE_ROLE.replace("ConfigureAccess", "UndoOnboarding"),
    "TRUSTED_PRINCIPAL_PATTERNS": f"arn:aws:iam::{ACCOUNT}:role/media/*",
}


@dataclass
class Context:
    """The context object of an invocation."""

    function_name: str
    memory_limit_in_mb: int = 512
    aws_request_id: str = "5f6d1c1e-2f1b-4f0e-9d3a-0c2b8a7d6e5f"

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@cache
def handler(verb: str) -> Callable[[dict[str, Any], Context], dict[str, Any]]:
    """`lambda_handler` of functions/<verb>/app.py."""
    spec = importlib.util.spec_from_file_location(f"{verb}_app", ROOT / "functions" / verb / "app.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[dict[str, Any], Context], dict[str, Any]] = module.lambda_handler
    return found
