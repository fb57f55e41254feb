"""Objects in S3: complete reads of a version, and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from latchkey.aws.errors import aws_errors, code_of, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@dataclass(frozen=True)
class ReadObject:
    """The content of a version of an object. Without versioning, `version_id` is None."""

    body: bytes
    version_id: str | None


class Unreadable(Exception):
    """An object does not exist, cannot be read, or is too large. The message says which."""


def read_object(s3: S3Client, bucket: str, key: str, *, version_id: str | None = None, most_bytes: int) -> ReadObject:
    """The object, of which no more than `most_bytes` are read. Raises Unreadable.

    A missing object is AccessDenied for those who cannot list the bucket. An object under a KMS key that the role cannot use is
    AccessDenied for everyone.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    version: Any = {"VersionId": version_id} if version_id else {}
    with aws_errors():
        try:
            found = s3.get_object(Bucket=bucket, Key=key, **version)
        except ClientError as error:
            if status_of(error) == 404 or code_of(error) in ("InvalidArgument", "MethodNotAllowed"):
                raise Unreadable("does not exist") from None
            if code_of(error) == "AccessDenied" or code_of(error).startswith("KMS."):
                raise Unreadable("cannot be read: store it without a KMS key of your own") from None
            raise
        if found["ContentLength"] > most_bytes:
            found["Body"].close()
            raise Unreadable(f"has more than {most_bytes:,} bytes")
        return ReadObject(found["Body"].read(), found.get("VersionId"))


def write_object(s3: S3Client, bucket: str, key: str, text: str, content_type: str = "application/x-ndjson") -> str | None:
    """Writes an object. Returns its version, or None without versioning."""
    with aws_errors():
        written = s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType=content_type)
    return written.get("VersionId")
