"""Secrets that a service reads through a role that was passed to it: with a session of the role and signed API calls.

https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-setup.html
https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key-set-up.html
"""

import re
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws.emulator import authorization
from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.authorization import Caller
from local_aws.emulator.call_counts import CallCounts

_ONCE = Config(retries={"total_max_attempts": 1})
_KMS_DENIED = "Access to KMS is not allowed"


class UnreadableError(Exception):
    """A secret that a service cannot use. `reason` is a ValidationExceptionType of MediaPackage v2, the one documented list."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SecretsRoles:
    """Assumes roles as AWS services do, and counts each assumption by service principal."""

    def __init__(self, endpoint: str, calls: CallCounts) -> None:
        self._endpoint, self._calls = endpoint, calls
        self._session, self._lock = botocore.session.get_session(), threading.Lock()

    def can_pass(self, caller: Caller, role_arn: str, service: str) -> bool:
        """Returns whether the caller has iam:PassRole for the service.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
        """
        return authorization.allows(caller, "iam:PassRole", role_arn, {"iam:PassedToService": service})

    def assume(self, service: str, role_arn: str, owner_arn: str) -> "SecretsRoleSession":
        """Returns a session of the role for a service principal and the resource `owner_arn`. Raises UnreadableError."""
        if not re.fullmatch(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+", role_arn):
            raise UnreadableError("ROLE_ARN_INVALID_FORMAT", f"{role_arn} is not the ARN of a role.")
        _, _, owner, region, account, _ = owner_arn.split(":", 5)
        self._calls.count(service, "sts", "AssumeRole")
        source = {"aws:SourceAccount": account, "aws:SourceArn": owner_arn}
        sent = source if CURRENT.value.source_account_sent.by(owner) else {}
        try:
            held = authorization.assume_as_service(service, role_arn, service.partition(".")[0], sent)
        except PermissionError as error:
            raise UnreadableError("ROLE_ARN_NOT_ASSUMABLE", str(error)) from None
        with self._lock:
            client = self._session.create_client(
                "secretsmanager",
                region,
                endpoint_url=self._endpoint,
                aws_access_key_id=held.caller.access_key,
                aws_secret_access_key=held.secret_key,
                aws_session_token=held.session_token,
                config=_ONCE,
            )
        return SecretsRoleSession(client)


class SecretsRoleSession:
    """A role session that reads secrets. Every method raises UnreadableError."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def stages(self, secret_arn: str) -> set[str]:
        """Returns the staging labels of a secret."""
        found = _call(self._client.describe_secret, "DESCRIBE_SECRET_DENIED", SecretId=secret_arn)
        return {stage for stages in found.get("VersionIdsToStages", {}).values() for stage in stages}

    def value(self, secret_arn: str, stage: str = "AWSCURRENT") -> str:
        found = _call(self._client.get_secret_value, "GET_SECRET_VALUE_DENIED", SecretId=secret_arn, VersionStage=stage)
        return str(found.get("SecretString", ""))

    def values(self, secret_arns: list[str]) -> dict[str, str]:
        """Returns the current value of each secret, with one call."""
        found = _call(self._client.batch_get_secret_value, "BATCH_GET_SECRET_VALUE_DENIED", SecretIdList=secret_arns)
        for error in found.get("Errors", []):
            raise _unreadable(error["ErrorCode"], error["Message"], "GET_SECRET_VALUE_DENIED")
        return {secret["ARN"]: secret.get("SecretString", "") for secret in found["SecretValues"]}


def check_secret_arn(secret_arn: str, owner_arn: str) -> None:
    """Raises UnreadableError unless the ARN names a secret in the account and Region of `owner_arn`."""
    found = re.fullmatch(r"arn:aws:secretsmanager:([a-z0-9-]+):(\d{12}):secret:.+", secret_arn)
    if found is None:
        raise UnreadableError("MALFORMED_SECRET_ARN", f"{secret_arn} is not the ARN of a secret.")
    _, _, _, region, account, _ = owner_arn.split(":", 5)
    if found[2] != account:
        raise UnreadableError("SECRET_FROM_DIFFERENT_ACCOUNT", f"{secret_arn} is in another account.")
    if found[1] != region:
        raise UnreadableError("SECRET_FROM_DIFFERENT_REGION", f"{secret_arn} is in another Region.")


def _call(method: Callable[..., Any], denied: str, **members: Any) -> Any:
    try:
        return method(**members)
    except ClientError as error:
        answer = error.response["Error"]
        raise _unreadable(answer["Code"], answer.get("Message", ""), denied) from None


def _unreadable(code: str, message: str, denied: str) -> UnreadableError:
    if code == "DecryptionFailure" or _KMS_DENIED in message:
        return UnreadableError("DECRYPT_SECRET_FAILED", message)
    reasons = {"AccessDeniedException": denied, "ResourceNotFoundException": "SECRET_ARN_RESOURCE_NOT_FOUND"}
    return UnreadableError(reasons.get(code, "INVALID_SECRET"), message)
