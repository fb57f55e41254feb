"""Helpers for services that read a secret through a role: the key, the secret, the role, and a viewer."""

import json
import urllib.error
import urllib.request
from typing import Any

from botocore.exceptions import ClientError

from local_aws.emulator.account import ACCOUNT, REGION
from tests.local_aws.gap_account import Account, allow, policy


class RoleReader:
    """A customer managed key, a secret under it, and a role with which `service` can read it."""

    def __init__(self, account: Account, service: str, value: str) -> None:
        self.account, self.key = account, account.key()
        self.name = account.unique("latchkey/reader")
        secrets = account.client("secretsmanager")
        self.secret = str(secrets.create_secret(Name=self.name, SecretString=value, KmsKeyId=self.key)["ARN"])
        self.role_name = account.unique("reader")
        document = trust_from(service, ACCOUNT)
        made = account.client("iam").create_role(RoleName=self.role_name, AssumeRolePolicyDocument=document)
        self.role = str(made["Role"]["Arn"])
        self.permit("describe", "get", "batch", "decrypt")

    def permit(self, *names: str) -> None:
        """Sets the permissions of the role."""
        decrypt = {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com", "kms:EncryptionContext:SecretARN": self.secret}
        known = {
            "describe": allow("secretsmanager:DescribeSecret", self.secret),
            "get": allow("secretsmanager:GetSecretValue", self.secret),
            "batch": allow("secretsmanager:BatchGetSecretValue"),
            "decrypt": allow("kms:Decrypt", self.key, StringEquals=decrypt),
        }
        document = policy(*(known[name] for name in names))
        self.account.client("iam").put_role_policy(RoleName=self.role_name, PolicyName="own", PolicyDocument=document)

    def permit_all_but(self, missing: str) -> None:
        self.permit(*({"describe", "get", "batch", "decrypt"} - {missing}))

    def trust(self, document: str) -> None:
        self.account.client("iam").update_assume_role_policy(RoleName=self.role_name, PolicyDocument=document)

    def rotate(self, value: str) -> None:
        self.account.client("secretsmanager").put_secret_value(SecretId=self.secret, SecretString=value)

    def reads(self) -> dict[tuple[str, str], int]:
        """Returns the counts of AssumeRole by the service and of Secrets Manager calls by the role."""
        calls = self.account.local.control("GET", "calls")
        ours = [c for c in calls if c["service"] == "sts" or f"/{self.role_name}/" in c["principal"]]
        return {(c["principal"].partition("/")[0], c["operation"]): c["count"] for c in ours}


def trust_from(service: str, account: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return policy(statement | {"Condition": {"StringEquals": {"aws:SourceAccount": account}}})


def failure(call: Any, **members: Any) -> tuple[str, int, str]:
    """Returns code, status and ValidationExceptionType (or "") of a call that must fail."""
    try:
        call(**members)
    except ClientError as error:
        answer: Any = error.response
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        return answer["Error"]["Code"], status, answer.get("ValidationExceptionType", "")
    raise AssertionError("the call succeeded")


def fetch(url: str, header: str = "", value: str = "") -> int:
    """Returns the status of a manifest request."""
    request = urllib.request.Request(url, headers={header: value} if header else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.read().startswith(b"#EXTM3U")
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def identifier(key: str, value: str) -> str:
    return json.dumps({key: value})
