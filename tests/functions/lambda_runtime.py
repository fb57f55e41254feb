"""The Lambda runtime of the tests: the handler of a function, its environment, and its context."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.contract.artifacts import ROOT
from tests.functions.account import ACCOUNT, AUDIT_TABLE, DATA_BUCKET, OWN_ROLES, REGION, TABLE

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
    "MAX_REPAIRS": "2",
    "REMEDIATION_MODE": "audit",
    "DISCOVER_STATE_MACHINE": "discover",
    "RECONCILE_STATE_MACHINE": "reconcile",
    "CLEAN_UP_STATE_MACHINE": "clean-up-grants",
    "BULK_STATE_MACHINE": "bulk-onboard",
    "END_REQUEST_STATE_MACHINE": "end-request",
    "CONFIGURE_ROLE": "latchkey-ConfigureAccessFunctionRole",
    "CREATE_KEY_ROLE": "latchkey-CreateKeyFunctionRole",
    "CREATE_SECRET_ROLE": "latchkey-CreateSecretFunctionRole",
    "VALIDATE_ROLE": "latchkey-ValidateAccessFunctionRole",
    "READER_BOUNDARY": "latchkey-ReaderBoundary",
    "GRACE_SECONDS": "600",
    "ONBOARD_STATE_MACHINE": "onboard-access",
    "OWN_ROLES": ",".join(arn.rpartition("/")[2] for arn in OWN_ROLES.split(",")),
    "PLANNED_ROLES": ",".join(f"latchkey-{name}FunctionRole" for name in PLANNED),
    "SECRET_PREFIX": "latchkey/",
    "STACK_NAME": "latchkey",
    "ATTACH_ROLE": "latchkey-AttachPoliciesFunctionRole",
    "REMOVE_ROLE": "latchkey-RemovePoliciesFunctionRole",
    "UNDO_ROLE": "latchkey-UndoOnboardingFunctionRole",
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
