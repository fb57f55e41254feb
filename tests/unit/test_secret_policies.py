"""All resource policies of a secret are read where the SDK can list them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from botocore.utils import deep_merge

from latchkey import policies
from latchkey.aws.secrets import all_secret_policies
from latchkey.policies import Statement
from tests.unit.samples import SECRET_ARN

# What botocore 1.44.8 has and the pinned version has not.
NEWER: dict[str, Any] = {
    "operations": {
        "ListResourcePolicies": {
            "name": "ListResourcePolicies",
            "http": {"method": "POST", "requestUri": "/"},
            "input": {"shape": "ListResourcePoliciesRequest"},
            "output": {"shape": "ListResourcePoliciesResponse"},
        }
    },
    "shapes": {
        "ListResourcePoliciesRequest": {
            "type": "structure",
            "required": ["SecretId"],
            "members": {"SecretId": {"shape": "SecretIdType"}, "NextToken": {"shape": "NextTokenType"}},
        },
        "ListResourcePoliciesResponse": {
            "type": "structure",
            "members": {
                "ResourcePolicies": {"shape": "ResourcePolicySummaryListType"},
                "NextToken": {"shape": "NextTokenType"},
            },
        },
        "ResourcePolicySummaryListType": {"type": "list", "member": {"shape": "ResourcePolicySummary"}},
        "ResourcePolicySummary": {"type": "structure", "members": {"PolicyName": {"shape": "ResourcePolicyNameType"}}},
        "ResourcePolicyNameType": {"type": "string"},
        "GetResourcePolicyRequest": {"members": {"PolicyName": {"shape": "ResourcePolicyNameType"}}},
    },
}
OWN: Statement = {"Sid": "Own", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
OTHER: Statement = OWN | {"Sid": "Other", "Effect": "Deny"}


@pytest.fixture
def client(tmp_path: Path) -> Any:
    """A client of the newer SDK: the pinned model with what is new in it."""
    session = botocore.session.get_session()
    loader = session.get_component("data_loader")
    model = copy.deepcopy(loader.load_service_model("secretsmanager", "service-2"))
    deep_merge(model, NEWER)
    folder = tmp_path / "secretsmanager" / loader.determine_latest_version("secretsmanager", "service-2")
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(model))
    newer = botocore.session.get_session()
    newer.get_component("data_loader").search_paths.insert(0, str(tmp_path))
    made: Any = boto3.session.Session(botocore_session=newer)
    return made.client("secretsmanager", region_name="eu-west-1")


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


def test_the_pinned_sdk_reads_the_only_policy_that_can_be_written() -> None:
    older: Any = boto3.client("secretsmanager", region_name="eu-west-1")
    with Stubber(older) as stub:
        policy = json.dumps(policies.new_document([OWN]))
        stub.add_response("get_resource_policy", {"ResourcePolicy": policy}, {"SecretId": SECRET_ARN})
        assert all_secret_policies(older, SECRET_ARN) == policies.new_document([OWN])
