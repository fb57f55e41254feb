"""Faults at the calls of a function: errors of AWS, lost connections, lagging lists, and changes between two calls."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from moto.kms.models import KmsBackend

from latchkey.aws import clients


def at_call(service: str, operation: str, act: Callable[[], object], number: int = 1, when: str = "before-call") -> None:
    """Runs `act` before or after the call of this number. An exception that it raises becomes the result of the call."""
    left = [number]

    def count(**_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            act()

    for client in (clients.client_for(service), clients.client_for_without_retries(service)):
        client.meta.events.register_first(f"{when}.{client.meta.service_model.service_id.hyphenize()}.{operation}", count)


def age_roles() -> None:
    """Lets IAM return an old creation date for every role and user."""

    def replace(parsed: dict[str, Any], **_: Any) -> None:
        for kind in {"Role", "User"} & parsed.keys():
            parsed[kind]["CreateDate"] = datetime(2020, 1, 1, tzinfo=UTC)

    for operation in ("GetRole", "GetUser"):
        clients.iam().meta.events.register_first(f"after-call.iam.{operation}", replace)


def set_rotation_period(days: int) -> None:
    """Lets KMS return this period for the rotation of every key. moto returns none."""

    def replace(parsed: dict[str, Any], **_: Any) -> None:
        parsed["RotationPeriodInDays"] = days

    clients.kms().meta.events.register_first("after-call.kms.GetKeyRotationStatus", replace)


def set_version_keys(*keys: str) -> None:
    """Lets Secrets Manager return these keys for every version of a secret."""
    client: Any = clients.secretsmanager()

    def replace(parsed: dict[str, Any], **_: Any) -> None:
        for version in parsed["Versions"]:
            version["KmsKeyIds"] = [*keys]

    client.meta.events.register_first("after-call.secrets-manager.ListSecretVersionIds", replace)


def answer_with_error(
    operation: str, code: str = "AccessDeniedException", status: int = 400, message: str = "no"
) -> Callable[[], None]:
    """An act for `at_call`: the call returns an error."""

    def act() -> None:
        error: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(error, operation)

    return act


def lose_connection() -> None:
    """An act for `at_call`: the request or its response is lost."""
    raise ConnectionClosedError(endpoint_url="https://kms.us-east-1.amazonaws.com")


class ListingLag:
    """Lets KMS list a revoked grant until `settle`: https://docs.aws.amazon.com/kms/latest/developerguide/programming-grants.html"""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._revoke: Any = KmsBackend.revoke_grant
        self._revoked: list[tuple[Any, ...]] = []
        monkeypatch.setattr(KmsBackend, "revoke_grant", lambda *call: self._revoked.append(call))

    def settle(self) -> None:
        self._revoke(*self._revoked[0])

    def settle_last(self) -> None:
        self._revoke(*self._revoked[-1])
