"""The data bucket in moto, and the executions of bulk requests."""

import json
from typing import Any

from tests.functions.account import ACCOUNT, DATA_BUCKET, REGION, client

BUCKET = DATA_BUCKET
NAME = "a" * 32 + "-" + "b" * 32
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:bulk-onboard:{NAME}"
FOLDER = f"bulk/{NAME}/"


class DataBucket:
    """The data bucket, with every version of its objects."""

    def __init__(self) -> None:
        self.s3 = client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def put(self, key: str, text: str) -> str:
        version: str = self.s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())["VersionId"]
        return version

    def lines(self, key: str) -> list[dict[str, Any]]:
        text = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
        return [json.loads(line) for line in text.splitlines()]

    def versions(self, key: str) -> int:
        return len(self.s3.list_object_versions(Bucket=BUCKET, Prefix=key).get("Versions", []))
