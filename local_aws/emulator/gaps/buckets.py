"""S3: buckets in templates, the deletion of buckets that are not empty, and the error for an absent object."""

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from ministack.core import iam_evaluator
from ministack.services import s3
from ministack.services.cloudformation import provisioners

from local_aws.emulator.gaps.patching import Around, wrap, wrap_item


def apply() -> None:
    bucket = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    wrap_item(bucket, "create", _create)
    wrap_item(bucket, "update", _update)
    wrap_item(bucket, "delete", _delete)
    wrap(iam_evaluator, "enforce", _enforce)


def _create(original: Around, logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
    name, attributes = original(logical_id, props, stack_name)
    _configure(name, props)
    return name, attributes


def _update(original: Around, physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str) -> Any:
    name, attributes = original(physical_id, old, new, stack_name)
    _configure(name, new)
    return name, attributes


def _configure(name: str, props: dict[str, Any]) -> None:
    """Gap: a stack ignores the encryption, the ownership controls and the lifecycle of a bucket."""
    if given := props.get("BucketEncryption"):
        rules = given["ServerSideEncryptionConfiguration"]
        defaults = [{"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]} for rule in rules]
        _require(s3._put_bucket_encryption(name, _xml("ServerSideEncryptionConfiguration", {"Rule": defaults})))
    if given := props.get("OwnershipControls"):
        _require(s3._put_bucket_ownership_controls(name, _xml("OwnershipControls", {"Rule": given["Rules"]})))
    if given := props.get("LifecycleConfiguration"):
        rules = [dict(_lifecycle_rule(rule)) for rule in given["Rules"]]
        _require(s3._put_bucket_lifecycle(name, _xml("LifecycleConfiguration", {"Rule": rules})))


def _lifecycle_rule(rule: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The members of a rule of CloudFormation by their names in the API."""
    known = {"Id", "Status", "Prefix", "ExpirationInDays", "ExpiredObjectDeleteMarker"}
    known |= {"NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"}
    if unknown := set(rule) - known:
        raise ValueError(f"the emulator does not support lifecycle rules with {sorted(unknown)}")
    yield "ID", rule["Id"]
    yield "Status", rule["Status"]
    yield "Filter", {"Prefix": rule.get("Prefix", "")}
    if "ExpirationInDays" in rule:
        yield "Expiration", {"Days": rule["ExpirationInDays"]}
    if rule.get("ExpiredObjectDeleteMarker"):
        yield "Expiration", {"ExpiredObjectDeleteMarker": "true"}
    for member in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if member in rule:
            yield member, rule[member]


def _delete(original: Around, physical_id: str, *args: Any) -> Any:
    """Gap: a stack deletes a bucket with its objects. On AWS, the bucket must be empty of all versions."""
    held = (s3._buckets.get(physical_id) or {}).get("objects")
    if held or any(bucket == physical_id and versions for (bucket, _), versions in s3._object_versions.items()):
        raise ValueError("The bucket you tried to delete is not empty. You must delete all versions in the bucket.")
    return original(physical_id, *args)


def _enforce(
    original: Around,
    access_key: str,
    iam_action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: dict[str, Any] | None = None,
) -> Any:
    """Gap: an absent object is NoSuchKey for everyone. On AWS, it is AccessDenied without s3:ListBucket on the bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    denied = original(access_key, iam_action, service, region, resource_arn, service_context)
    if denied or iam_action != "s3:GetObject" or _exists(resource_arn):
        return denied
    bucket = resource_arn.partition("/")[0]
    return original(access_key, "s3:ListBucket", service, region, bucket, service_context)


def _exists(resource_arn: str) -> bool:
    bucket, _, key = resource_arn.removeprefix("arn:aws:s3:::").partition("/")
    return key in (s3._buckets.get(bucket) or {"objects": {}})["objects"]


def _xml(name: str, members: dict[str, Any]) -> bytes:
    root = Element(name)
    _append(root, members)
    return tostring(root)


def _append(parent: Element, members: dict[str, Any]) -> None:
    for name, value in members.items():
        for each in value if isinstance(value, list) else [value]:
            child = SubElement(parent, name)
            if isinstance(each, dict):
                _append(child, each)
            else:
                child.text = str(each)


def _require(response: Any) -> None:
    status, _, body = response
    if status >= 400:
        raise ValueError(bytes(body).decode())
