"""Services return the lists in policy documents in an order that differs from call to call."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.local_aws.gap_account import ROOT, Account, allow, policy
from tests.local_aws.test_mediapackagev2 import make

Read = Callable[[], dict[str, Any]]
ACTIONS = [f"kms:{name}" for name in ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncrypt*")]


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


def _principals(account: Account) -> list[str]:
    return [account.role().arn for _ in range(5)]


def _role_policy(account: Account) -> Read:
    role, iam = account.role(allow(ACTIONS)), account.client("iam")
    return lambda: dict(iam.get_role_policy(RoleName=role.name, PolicyName="own")["PolicyDocument"]["Statement"][0])


def _trust_policy(account: Account) -> Read:
    role, iam = account.role(), account.client("iam")
    trusted = allow("sts:AssumeRole") | {"Principal": {"AWS": _principals(account)}}
    del trusted["Resource"]
    iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=policy(trusted))
    return lambda: dict(iam.get_role(RoleName=role.name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0])


def _key_policy(account: Account) -> Read:
    key, kms = account.key({"Principal": {"AWS": _principals(account)}} | allow(ACTIONS)), account.client("kms")
    return lambda: dict(json.loads(kms.get_key_policy(KeyId=key)["Policy"])["Statement"][1])


def _secret_policy(account: Account) -> Read:
    client = account.client("secretsmanager")
    secret = client.create_secret(Name=account.unique("secret"), SecretString="value")["ARN"]
    statement = {"Principal": {"AWS": _principals(account)}} | allow("secretsmanager:GetSecretValue")
    client.put_resource_policy(SecretId=secret, ResourcePolicy=policy(statement))
    return lambda: dict(json.loads(client.get_resource_policy(SecretId=secret)["ResourcePolicy"])["Statement"][0])


def _endpoint_policy(account: Account) -> Read:
    endpoint = make(account)
    client = endpoint.client()
    statement = {"Principal": {"AWS": _principals(account)}} | allow("mediapackagev2:GetObject", endpoint.arn)
    client.put_origin_endpoint_policy(**endpoint.names, Policy=policy(statement))
    return lambda: dict(json.loads(client.get_origin_endpoint_policy(**endpoint.names)["Policy"])["Statement"][0])


READS = (_role_policy, _trust_policy, _key_policy, _secret_policy, _endpoint_policy)


@pytest.mark.parametrize("reads", READS)
def test_lists_are_returned_in_another_order_in_each_call(account: Account, reads: Callable[[Account], Read]) -> None:
    read = reads(account)
    account.assume(policyOrder="kept")
    kept = [json.dumps(read()) for _ in range(5)]
    account.assume(policyOrder="shuffled")
    shuffled = [json.dumps(read()) for _ in range(5)]

    assert len(set(kept)) == 1
    assert len(set(shuffled)) > 1
    assert {"".join(sorted(text)) for text in shuffled} == {"".join(sorted(kept[0]))}


def test_an_account_is_returned_as_its_root_and_a_list_of_one_as_a_text(account: Account) -> None:
    key, kms = account.key({"Principal": {"AWS": [ACCOUNT]}} | allow("kms:DescribeKey")), account.client("kms")
    statement = json.loads(kms.get_key_policy(KeyId=key)["Policy"])["Statement"][1]
    assert statement["Principal"] == {"AWS": ROOT}
