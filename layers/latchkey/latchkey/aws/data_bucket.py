"""The bucket of inventories, manifests, results and exports. It never contains a secret value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from botocore.exceptions import ClientError

from latchkey.aws import clients
from latchkey.aws.errors import code_of


@dataclass(frozen=True)
class DataBucket:
    """Reads and writes objects by key."""

    name: str

    def write(self, key: str, body: bytes | BinaryIO, content_type: str) -> None:
        """Writes an object. A former version stays, because the bucket is versioned."""
        s3 = clients.s3()
        s3.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type)

    def read(self, key: str) -> bytes | None:
        """The content of an object, or None if there is none.

        Without s3:ListBucket, S3 answers AccessDenied for a missing object:
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        """
        s3 = clients.s3()
        try:
            content: bytes = s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        except ClientError as error:
            if code_of(error) in ("NoSuchKey", "AccessDenied"):
                return None
            raise
        return content
