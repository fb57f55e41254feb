"""The bucket of inventories, manifests, results and exports. It never contains a secret value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from latchkey.aws import clients
from latchkey.aws.errors import aws_errors, code_of
from latchkey.errors import AccessDenied, Conflict

if TYPE_CHECKING:
    from botocore.response import StreamingBody

JSON, JSON_LINES, CSV = "application/json", "application/jsonl", "text/csv"
# The last two are the answers for a version ID that S3 did not create, and for the version of a deletion:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html
_MISSING = {"NoSuchKey", "NoSuchVersion", "InvalidArgument", "MethodNotAllowed"}


@dataclass(frozen=True)
class StoredVersion:
    """A version of an object. Its content is read only by `read`, once. Without versioning, `version_id` is None."""

    size: int
    version_id: str | None
    _body: StreamingBody = field(repr=False)

    def read(self) -> bytes:
        """The content."""
        with aws_errors():
            content: bytes = self._body.read()
        return content


@dataclass(frozen=True)
class DataBucket:
    """Reads and writes objects by key.

    A role that must distinguish missing from denied needs s3:ListBucket. Without it, S3 answers AccessDenied for an object that
    does not exist:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """

    name: str

    def find(self, key: str, version_id: str | None = None) -> StoredVersion | None:
        """The version of an object, by default the current one, or None if it does not exist.

        Raises AccessDenied if the role is not allowed to read the object, or not to use the KMS key under which it is stored.
        """
        version: Any = {"VersionId": version_id} if version_id else {}
        s3 = clients.s3()
        with aws_errors():
            try:
                found = s3.get_object(Bucket=self.name, Key=key, **version)
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return None
                if code_of(error).startswith("KMS."):
                    raise AccessDenied(f"the KMS key of {key} denies its use") from None
                raise
        return StoredVersion(found["ContentLength"], found.get("VersionId"), found["Body"])

    def read(self, key: str, version_id: str | None = None) -> bytes:
        """The content of an object that Latchkey has written. Raises Conflict if it does not exist, and AccessDenied."""
        found = self.find(key, version_id)
        if found is None:
            raise Conflict(f"{key} does not exist in the data bucket any more")
        return found.read()

    def write(self, key: str, body: bytes | IO[bytes], content_type: str) -> str | None:
        """Writes an object and returns its version, or None without versioning. A former version stays."""
        s3 = clients.s3()
        with aws_errors():
            written = s3.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type)
        return written.get("VersionId")
