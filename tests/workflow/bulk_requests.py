"""Bulk requests, their manifests in the data bucket, and their results."""

import json
import uuid
from typing import Any

from tests.workflow.onboarding import Onboarding

KIND = "Bulk Onboarding Requested"
COMPLETED = "Bulk Onboarding Completed"


class Bulk:
    """Stores manifests, and sends requests about them."""

    def __init__(self, onboarding: Onboarding) -> None:
        self.onboarding, self.s3 = onboarding, onboarding.aws.client("s3")
        [self.bucket] = [each["Name"] for each in self.s3.list_buckets()["Buckets"] if "databucket" in each["Name"]]

    def store(self, text: str, key: str = "manifests/channels.jsonl") -> str:
        version: str = self.s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode())["VersionId"]
        return version

    def store_lines(self, *details: object) -> None:
        self.store("".join(f"{detail if isinstance(detail, str) else json.dumps(detail)}\n" for detail in details))

    def put(self, **members: Any) -> str:
        """Puts a bulk request on the bus and returns its id."""
        detail = {"requestId": f"bulk-{uuid.uuid4().hex[:12]}", "manifest": {"key": "manifests/channels.jsonl"}} | members
        self.onboarding.put(detail, KIND)
        return str(detail["requestId"])

    def outcome(self, request_id: str) -> dict[str, Any]:
        event: dict[str, Any] = self.onboarding.outcomes.wait_for(request_id, 240)
        return event

    def complete(self, **members: Any) -> dict[str, Any]:
        """Sends a bulk request that must be completed. Returns the detail of its outcome."""
        event = self.outcome(self.put(**members))
        assert event["detail-type"] == COMPLETED, json.dumps(event["detail"], indent=2)
        detail: dict[str, Any] = event["detail"]
        return detail

    def rejected(self, **members: Any) -> dict[str, str]:
        """Sends a bulk request that must be rejected whole. Returns the broken rules by path."""
        event = self.outcome(self.put(**members))
        assert event["detail-type"] == "Request Rejected", json.dumps(event["detail"], indent=2)
        return {error["place"]: error["rule"] for error in event["detail"]["errors"]}

    def results(self, completed: dict[str, Any]) -> list[dict[str, Any]]:
        stored = completed["results"]
        body = self.s3.get_object(Bucket=stored["bucket"], Key=stored["key"], VersionId=stored["versionId"])["Body"].read()
        return [json.loads(line) for line in body.decode().splitlines()]

    def everything_stored(self) -> str:
        """The content of every object under the prefix of bulk requests."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="bulk/").get("Contents", [])
        return "".join(self.s3.get_object(Bucket=self.bucket, Key=each["Key"])["Body"].read().decode() for each in listed)
