"""One embedded AWS without a stack for all tests in this folder. Each test resets it."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded

HEADER, SECRET_KEY, TOKEN = "X-Origin-Token", "MyAccessTokenIdentifier", "token-that-must-stay-hidden"
SERVICE = {"Service": "mediatailor.amazonaws.com"}


@pytest.fixture(scope="session")
def embedded() -> Iterator[Embedded]:
    with Embedded() as running:
        yield running


@pytest.fixture
def local(embedded: Embedded) -> Iterator[Embedded]:
    yield embedded
    for path in ("assumptions", "faults", "calls", "origin"):
        embedded.control("DELETE", path)


@dataclass
class Access:
    """A customer managed key, a secret under it that MediaTailor can read, and a name for a source location."""

    local: Embedded
    name: str
    key: str
    secret: str

    @property
    def grant_name(self) -> str:
        return f"MediaTailor-SourceLocation-000000000000-{self.name}"

    @property
    def base_url(self) -> str:
        return f"{self.local.origin_url}/{self.name}"

    def settings(self, **token: str) -> dict[str, Any]:
        """Returns the input of CreateSourceLocation and UpdateSourceLocation, with changes to the token configuration."""
        members = {"HeaderName": HEADER, "SecretArn": self.secret, "SecretStringKey": SECRET_KEY} | token
        return {
            "SourceLocationName": self.name,
            "HttpConfiguration": {"BaseUrl": self.base_url},
            "AccessConfiguration": {
                "AccessType": "SECRETS_MANAGER_ACCESS_TOKEN",
                "SecretsManagerAccessTokenConfiguration": members,
            },
        }

    def create(self, client: Any = None, **token: str) -> Any:
        return (client or self.local.client("mediatailor")).create_source_location(**self.settings(**token))

    def create_vod_source(self, path: str = "/film/index.m3u8") -> Any:
        package = {"Path": path, "SourceGroup": "hls", "Type": "HLS"}
        return self.local.client("mediatailor").create_vod_source(
            SourceLocationName=self.name, VodSourceName="film", HttpPackageConfigurations=[package]
        )

    def alerts(self, arn: str) -> list[str]:
        return [item["AlertCode"] for item in self.local.client("mediatailor").list_alerts(ResourceArn=arn)["Items"]]

    def grants(self, key: str | None = None) -> list[dict[str, Any]]:
        """Returns the grants on the key."""
        found: list[dict[str, Any]] = self.local.client("kms").list_grants(KeyId=key or self.key)["Grants"]
        return found

    def new_secret(self, value: str | None = None, key: str | None = "") -> str:
        """Creates another secret, with `key=None` under aws/secretsmanager."""
        given = {} if key is None else {"KmsKeyId": key or self.key}
        string = json.dumps({SECRET_KEY: TOKEN}) if value is None else value
        name = f"latchkey/{uuid.uuid4()}"
        arn: str = self.local.client("secretsmanager").create_secret(Name=name, SecretString=string, **given)["ARN"]
        return arn

    def allow_mediatailor(self, secret: str | None = None, condition: dict[str, Any] | None = None) -> None:
        """Lets MediaTailor read the secret."""
        arn = secret or self.secret
        statement = {"Effect": "Allow", "Principal": SERVICE, "Action": "secretsmanager:GetSecretValue"}
        statement |= {"Resource": arn} | ({"Condition": condition} if condition else {})
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.local.client("secretsmanager").put_resource_policy(SecretId=arn, ResourcePolicy=policy)


@pytest.fixture
def access(local: Embedded) -> Access:
    made = Access(local, f"sports-{uuid.uuid4().hex[:8]}", local.client("kms").create_key()["KeyMetadata"]["Arn"], "")
    made.secret = made.new_secret()
    made.allow_mediatailor()
    return made
