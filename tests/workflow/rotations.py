"""Requests for rotations, the labels of a secret, and clients that ask for manifests all the time."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.workflow.consumer_resources import ConsumerResource, fetch
from tests.workflow.onboarding import Onboarding


class Rotations:
    """Sends requests for rotations and reads the versions of secrets."""

    def __init__(self, onboarding: Onboarding) -> None:
        self.onboarding = onboarding
        self.secretsmanager = onboarding.secretsmanager

    def request(self, access_id: str, kind: str = "Rotation Requested", **members: Any) -> dict[str, Any]:
        """Sends a request about an access and returns the outcome event."""
        return self.outcome(self.put(access_id, kind, **members))

    def put(self, access_id: str, kind: str = "Rotation Requested", **members: Any) -> str:
        """Sends a request about an access and returns its id."""
        request_id = f"rotation-{uuid.uuid4().hex[:12]}"
        self.onboarding.put({"requestId": request_id, "accessId": access_id, **members}, kind)
        return request_id

    def outcome(self, request_id: str) -> dict[str, Any]:
        """Returns the outcome event of a request."""
        return self.onboarding.outcomes.wait_for(request_id, 120)

    def rotate(self, access_id: str, **members: Any) -> dict[str, Any]:
        """Rotates a token that nobody has to prepare for, and returns the detail of the outcome."""
        event = self.request(access_id, **members)
        assert event["detail-type"] == "Token Rotated", event["detail"]
        detail: dict[str, Any] = event["detail"]
        assert [check for check in detail["checks"] if not check["passed"]] == []
        return detail

    def stage(self, access_id: str, **members: Any) -> dict[str, Any]:
        """Requests a rotation that must be confirmed, and returns the detail of the outcome."""
        event = self.request(access_id, **members)
        assert event["detail-type"] == "Token Pending", event["detail"]
        detail: dict[str, Any] = event["detail"]
        return detail

    def confirm(self, access_id: str) -> dict[str, Any]:
        """Confirms a pending rotation, and returns the detail of the outcome."""
        event = self.request(access_id, "Rotation Confirmed")
        assert event["detail-type"] == "Token Rotated", event["detail"]
        detail: dict[str, Any] = event["detail"]
        return detail

    def withdraw(self, access_id: str) -> dict[str, Any]:
        """Withdraws a pending rotation, and returns the detail of the outcome."""
        event = self.request(access_id, withdraw=True)
        assert event["detail-type"] == "Rotation Withdrawn", event["detail"]
        detail: dict[str, Any] = event["detail"]
        return detail

    def reject(self, access_id: str, kind: str = "Rotation Requested", **members: Any) -> dict[str, str]:
        """Sends a request that must be rejected, and returns the violated rules by path."""
        event = self.request(access_id, kind, **members)
        assert event["detail-type"] == "Request Rejected", event["detail"]
        return {error["place"]: error["rule"] for error in event["detail"]["errors"]}

    def labels(self, secret_arn: str) -> dict[str, str]:
        """Returns the version with each label."""
        stages = self.secretsmanager.describe_secret(SecretId=secret_arn)["VersionIdsToStages"]
        return {label: version for version, labels in stages.items() for label in labels}

    def value(self, secret_arn: str, label: str = "AWSCURRENT") -> str:
        """Returns the value of the version with a label."""
        value: str = self.secretsmanager.get_secret_value(SecretId=secret_arn, VersionStage=label)["SecretString"]
        return value


@dataclass
class Load:
    """A client that sends requests without a pause until it is stopped. `statuses` are the answers."""

    ask: Callable[[], int]
    statuses: list[int] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._stop.is_set() or len(self.statuses) < 200:
            self.statuses.append(self.ask())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs the client during the block, and until it has sent 200 requests."""
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(120)
        assert len(self.statuses) >= 200
        assert {status for status in self.statuses if status != 200} == set(), self.statuses


class Cdn:
    """A CDN that sends the token with which it was configured."""

    def __init__(self, consumer: ConsumerResource, token: str) -> None:
        self._consumer, self.token = consumer, token
        self._url = consumer.url()

    def ask(self) -> int:
        """Returns the status of a request for the manifest."""
        return fetch(self._url, self._consumer.header, self.token)


class SourceLocationClient:
    """Makes MediaTailor request a manifest from the origin, with the token that it has."""

    def __init__(self, onboarding: Onboarding, name: str) -> None:
        self._aws, self._client = onboarding.aws, onboarding.mediatailor
        package = {"Path": "/film/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}
        self._source = {"SourceLocationName": name, "VodSourceName": "film", "HttpPackageConfigurations": [package]}
        self._arn = self._client.create_vod_source(**self._source)["Arn"]

    def ask(self) -> int:
        """Returns 200 if the origin served the manifest."""
        self._client.update_vod_source(**self._source)
        alerts = self._client.list_alerts(ResourceArn=self._arn)["Items"]
        return 403 if alerts else 200
