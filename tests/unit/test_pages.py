"""A list is read to its last page, or the read fails."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.aws.keys import list_aliases
from latchkey.aws.pages import read_pages
from latchkey.aws.secrets import ObservedSecret, current_keys, list_secrets
from latchkey.errors import TransientAwsError
from tests.unit.samples import KEY_ARN, SECRET_ARN


def read(*pages: dict[str, Any], **members: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The pages that were read, and the requests that were sent."""
    asked: list[dict[str, Any]] = []

    def operation(**request: Any) -> dict[str, Any]:
        asked.append(request)
        return pages[len(asked) - 1]

    return [*read_pages(operation, **members)], asked


@pytest.mark.parametrize(
    ("first", "second", "asked"),
    [
        ({"NextToken": "n"}, {}, {"NextToken": "n"}),
        ({"NextToken": "n", "Items": []}, {"NextToken": ""}, {"NextToken": "n"}),
        ({"Truncated": True, "NextMarker": "m"}, {"Truncated": False}, {"Marker": "m"}),
        ({"IsTruncated": True, "Marker": "m"}, {"IsTruncated": False, "Marker": "rest"}, {"Marker": "m"}),
        ({"LastEvaluatedKey": {"id": {"S": "a"}}}, {}, {"ExclusiveStartKey": {"id": {"S": "a"}}}),
    ],
)
def test_a_list_is_read_to_its_end(first: dict[str, Any], second: dict[str, Any], asked: dict[str, Any]) -> None:
    assert read(first, second, KeyId="k") == ([first, second], [{"KeyId": "k"}, {"KeyId": "k"} | asked])


@pytest.mark.parametrize("flag", ["Truncated", "IsTruncated"])
def test_a_truncated_page_without_a_marker_is_an_incomplete_read(flag: str) -> None:
    with pytest.raises(TransientAwsError):
        read({flag: True})


def test_a_repeated_marker_is_an_incomplete_read() -> None:
    with pytest.raises(TransientAwsError):
        read({"NextToken": "n"}, {"NextToken": "n"}, {})


def _stubbed(service: str) -> tuple[Any, Stubber]:
    client: Any = boto3.client(service, region_name="eu-west-1")  # type: ignore[call-overload]
    stub = Stubber(client)
    stub.activate()
    return client, stub


def test_the_current_version_is_found_on_the_second_page() -> None:
    """A grant in use would be judged orphaned if only the first page were read."""
    client, stub = _stubbed("secretsmanager")
    previous = {"VersionId": "1" * 32, "VersionStages": ["AWSPREVIOUS"], "KmsKeyIds": ["key/former"]}
    current = {"VersionId": "2" * 32, "VersionStages": ["AWSCURRENT"], "KmsKeyIds": [KEY_ARN]}
    asked = {"SecretId": SECRET_ARN}
    stub.add_response("list_secret_version_ids", {"Versions": [previous], "NextToken": "1"}, asked)
    stub.add_response("list_secret_version_ids", {"NextToken": "2"}, asked | {"NextToken": "1"})
    stub.add_response("list_secret_version_ids", {"Versions": [current]}, asked | {"NextToken": "2"})
    secret = ObservedSecret(SECRET_ARN, "s", None, is_being_deleted=False, owning_service=None, tags={})

    assert current_keys(secret, boto3.client("kms", region_name="eu-west-1"), client) == (KEY_ARN,)


def test_secrets_of_all_pages_are_listed_with_those_that_are_being_deleted() -> None:
    client, stub = _stubbed("secretsmanager")
    asked = {"IncludePlannedDeletion": True, "MaxResults": 100}
    stub.add_response("list_secrets", {"SecretList": [], "NextToken": "1"}, asked)
    deleted = {"ARN": SECRET_ARN, "Name": "s", "KmsKeyId": KEY_ARN, "DeletedDate": 0}
    stub.add_response("list_secrets", {"SecretList": [deleted]}, asked | {"NextToken": "1"})

    assert [(secret.kms_key_id, secret.is_being_deleted) for secret in list_secrets(client)] == [(KEY_ARN, True)]


def test_aliases_of_all_pages_are_listed() -> None:
    client, stub = _stubbed("kms")
    stub.add_response(
        "list_aliases", {"Aliases": [{"AliasName": "alias/b"}], "Truncated": True, "NextMarker": "1"}, {"KeyId": KEY_ARN}
    )
    rest = {"Aliases": [{"AliasName": "alias/a"}], "Truncated": False}
    stub.add_response("list_aliases", rest, {"KeyId": KEY_ARN, "Marker": "1"})

    assert list_aliases(client, KEY_ARN) == ("alias/a", "alias/b")
