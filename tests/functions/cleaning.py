"""A recorded access with the service's grant, and what may happen to it between two calls of a function."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from moto.kms.models import KmsBackend

from latchkey.aws import clients
from tests.functions.account import ACCOUNT, Account
from tests.functions.asking import HEADER, NAME, SECRET_KEY, Run
from tests.functions.carrying_out import Onboarding

ACCESS = f"mediatailor/sourceLocation/{NAME}"
GRANT = f"MediaTailor-SourceLocation-{ACCOUNT}-{NAME}"

type Look = Callable[..., dict[str, Any]]
type CleanUp = Callable[[dict[str, Any]], dict[str, Any]]


def onboarded(run: Run, account: Account, **members: Any) -> Onboarding:
    """An access as its request leaves it, with the grant that MediaTailor makes, as it does at every update."""
    made = Onboarding(run, account, **members).go("record_access")
    name = f"MediaTailor-SourceLocation-{ACCOUNT}-{made.request['resource']['sourceLocation']}"
    account.mediatailor.at_update = lambda: account.grant(made.key, name, made.secret)
    account.mediatailor.at_update()
    return made


def first_look(run: Run, *keys: str) -> dict[str, Any]:
    return run("clean_up_grants", {"accessId": ACCESS, "keys": [*keys]})


def second_look(run: Run, first: dict[str, Any]) -> dict[str, Any]:
    return run("clean_up_grants", {"accessId": ACCESS, "first": first})


def delete_location(account: Account) -> None:
    del account.mediatailor.locations[NAME]


def come_back(account: Account, access: Onboarding) -> None:
    """The location is there again as it was."""
    account.mediatailor.add(NAME, by_token(access.secret))


def grants(account: Account, key: str) -> list[str]:
    """The ids of a key's grants."""
    return [grant["GrantId"] for grant in account.kms.list_grants(KeyId=key)["Grants"]]


def by_token(secret: str) -> dict[str, Any]:
    """The access configuration that names a secret."""
    token = {"HeaderName": HEADER, "SecretArn": secret, "SecretStringKey": SECRET_KEY}
    return {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}


def at_call(service: str, operation: str, act: Callable[[], object], number: int = 1, when: str = "before-call") -> None:
    """Acts before, or `after-call`, a call that a function makes, the first or another; what it raises, the call does."""
    left = [number]

    def count(**_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            act()

    client = clients.client_for(service)
    client.meta.events.register_first(f"{when}.{client.meta.service_model.service_id.hyphenize()}.{operation}", count)


def roles_are_old() -> None:
    """They were made long ago, as IAM tells it."""

    def tell(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Role"]["CreateDate"] = datetime(2020, 1, 1, tzinfo=UTC)

    clients.iam().meta.events.register_first("after-call.iam.GetRole", tell)


def tell_keys_of_versions(*keys: str) -> None:
    """Every version of a secret is encrypted under these keys."""
    client: Any = clients.secretsmanager()

    def tell(parsed: dict[str, Any], **_: Any) -> None:
        for version in parsed["Versions"]:
            version["KmsKeyIds"] = [*keys]

    client.meta.events.register_first("after-call.secrets-manager.ListSecretVersionIds", tell)


def refuse(operation: str, code: str = "AccessDeniedException", status: int = 400) -> Callable[[], None]:
    """An act: the call is answered with an error."""

    def act() -> None:
        error: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(error, operation)

    return act


def crash() -> None:
    """An act: the answer, or the question, is lost."""
    raise ConnectionClosedError(endpoint_url="https://kms.us-east-1.amazonaws.com")


def puts(account: Account) -> int:
    return [method for method, _ in account.mediatailor.writes].count("PUT")


class Lag:
    """KMS lists a revoked grant until it is settled: https://docs.aws.amazon.com/kms/latest/developerguide/programming-grants.html"""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._revoke: Any = KmsBackend.revoke_grant
        self._revoked: list[tuple[Any, ...]] = []
        monkeypatch.setattr(KmsBackend, "revoke_grant", lambda *call: self._revoked.append(call))

    def settle(self) -> None:
        self._revoke(*self._revoked[0])

    def settle_last(self) -> None:
        self._revoke(*self._revoked[-1])
