"""All resource policies of a secret are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey import policies
from latchkey.aws import clients
from latchkey.aws.secrets import all_secret_policies
from latchkey.policies import Statement
from tests.unit.samples import SECRET_ARN

OWN: Statement = {"Sid": "Own", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
OTHER: Statement = OWN | {"Sid": "Other", "Effect": "Deny"}


@pytest.fixture
def client() -> Any:
    """A client of the functions, to whose model the package adds the operation."""
    return clients._session().client("secretsmanager", region_name="eu-west-1")


@pytest.fixture
def stub(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def lists(stub: Stubber, *names: str, token: str | None = None, following: str | None = None) -> None:
    asked = {"SecretId": SECRET_ARN} | ({"NextToken": token} if token else {})
    more = {"NextToken": following} if following else {}
    stub.add_response("list_resource_policies", {"ResourcePolicies": [{"PolicyName": name} for name in names]} | more, asked)


def answers(stub: Stubber, name: str, *statements: Statement) -> None:
    policy = {"ResourcePolicy": json.dumps(policies.new_document(statements))} if statements else {}
    stub.add_response("get_resource_policy", policy, {"SecretId": SECRET_ARN, "PolicyName": name})


def test_every_policy_counts(client: Any, stub: Stubber) -> None:
    lists(stub, "default", following="more")
    lists(stub, "replication", token="more")
    answers(stub, "default", OWN)
    answers(stub, "replication", OTHER)
    assert all_secret_policies(client, SECRET_ARN) == policies.new_document([OWN, OTHER])


def test_a_secret_without_policies_has_none(client: Any, stub: Stubber) -> None:
    lists(stub)
    assert all_secret_policies(client, SECRET_ARN) is None


def test_a_policy_that_is_removed_while_it_is_read_does_not_count(client: Any, stub: Stubber) -> None:
    lists(stub, "default", "replication")
    answers(stub, "default")
    stub.add_client_error("get_resource_policy", "ResourceNotFoundException")
    assert all_secret_policies(client, SECRET_ARN) is None


def test_a_list_that_is_denied_is_not_an_absence(client: Any, stub: Stubber) -> None:
    stub.add_client_error("list_resource_policies", "AccessDeniedException")
    with pytest.raises(ClientError):
        all_secret_policies(client, SECRET_ARN)


@pytest.mark.parametrize("code", ["UnknownOperationException", "InvalidAction"])
def test_a_secret_has_only_the_default_policy_where_the_list_is_unknown(client: Any, stub: Stubber, code: str) -> None:
    stub.add_client_error("list_resource_policies", code)
    policy = json.dumps(policies.new_document([OWN]))
    stub.add_response("get_resource_policy", {"ResourcePolicy": policy}, {"SecretId": SECRET_ARN})
    assert all_secret_policies(client, SECRET_ARN) == policies.new_document([OWN])
