"""S3: buckets in templates, absent objects, policies of roles and buckets, and the operation of a call."""

import json
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded, until
from tests.local_aws.gap_account import Account, allow, deny, error_code, policy


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


@pytest.fixture
def bucket(account: Account) -> str:
    name = account.unique("data")
    account.client("s3").create_bucket(Bucket=name)
    return name


def stack(account: Account, properties: dict[str, Any]) -> tuple[str, str]:
    """Creates a stack with a bucket. Returns the names of both."""
    name, bucket = account.unique("stack"), account.unique("data")
    template = {"Resources": {"Data": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket, **properties}}}}
    account.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    assert ended(account, name) == "CREATE_COMPLETE"
    return name, bucket


def ended(account: Account, stack: str) -> str | None:
    def status() -> str | None:
        found = account.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        return None if found.endswith("IN_PROGRESS") else str(found)

    return until(status, "the end of the operation")


def test_bucket_of_a_stack_has_encryption_ownership_and_lifecycle(account: Account) -> None:
    encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    rules = [
        {"Id": "Results", "Status": "Enabled", "Prefix": "bulk/", "ExpirationInDays": 90},
        {
            "Id": "Former",
            "Status": "Enabled",
            "ExpiredObjectDeleteMarker": True,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
    _, bucket = stack(
        account,
        {
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "LifecycleConfiguration": {"Rules": rules},
        },
    )
    s3 = account.client("s3")
    [applied] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    [owned] = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    results, former = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert applied["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert owned == {"ObjectOwnership": "BucketOwnerEnforced"}
    assert (results["Filter"], results["Expiration"]) == ({"Prefix": "bulk/"}, {"Days": 90})
    assert former["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert former["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


@pytest.mark.parametrize("deleted", [False, True])
def test_bucket_is_deleted_only_if_it_has_no_version(account: Account, deleted: bool) -> None:
    name, bucket = stack(account, {"VersioningConfiguration": {"Status": "Enabled"}})
    s3, cloudformation = account.client("s3"), account.client("cloudformation")
    version = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"]
    if deleted:
        s3.delete_object(Bucket=bucket, Key="a")
    cloudformation.delete_stack(StackName=name)
    assert ended(account, name) == "DELETE_FAILED"
    for marker in s3.list_object_versions(Bucket=bucket).get("DeleteMarkers", []):
        s3.delete_object(Bucket=bucket, Key="a", VersionId=marker["VersionId"])
    s3.delete_object(Bucket=bucket, Key="a", VersionId=version)
    cloudformation.delete_stack(StackName=name)
    until(lambda: bucket not in [each["Name"] for each in s3.list_buckets()["Buckets"]], "the end of the bucket")


def test_absent_object_is_denied_to_those_who_cannot_list_the_bucket(account: Account, bucket: str) -> None:
    objects = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    reader = account.role(objects).client("s3")
    lister = account.role(objects, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")).client("s3")
    assert error_code(reader.get_object, Bucket=bucket, Key="absent") == "AccessDenied"
    assert error_code(lister.get_object, Bucket=bucket, Key="absent") == "NoSuchKey"


def test_role_and_bucket_policy_decide_who_reads_and_writes(account: Account, bucket: str) -> None:
    client = account.role(allow(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{bucket}/in/*")).client("s3")
    client.put_object(Bucket=bucket, Key="in/a", Body=b"1")
    assert client.get_object(Bucket=bucket, Key="in/a")["Body"].read() == b"1"
    assert error_code(client.put_object, Bucket=bucket, Key="out/a", Body=b"1") == "AccessDenied"
    closed = policy({"Principal": "*"} | deny("s3:*", f"arn:aws:s3:::{bucket}/*"))
    account.client("s3").put_bucket_policy(Bucket=bucket, Policy=closed)
    assert error_code(client.get_object, Bucket=bucket, Key="in/a") == "AccessDenied"


def test_operations_with_the_same_route_are_told_apart(account: Account, bucket: str) -> None:
    s3 = account.client("s3")
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    counted = {call["operation"]: call["count"] for call in account.local.control("GET", "calls") if call["service"] == "s3"}
    assert (counted["PutObject"], counted["CopyObject"]) == (1, 1)


def test_checkpoint_restores_the_objects_of_a_bucket(account: Account, bucket: str) -> None:
    s3 = account.client("s3")
    s3.put_object(Bucket=bucket, Key="before", Body=b"1")
    account.local.control("PUT", "checkpoint")
    s3.put_object(Bucket=bucket, Key="after", Body=b"1")
    account.local.control("POST", "checkpoint")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["before"]
