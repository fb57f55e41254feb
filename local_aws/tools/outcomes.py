"""A subscriber to Latchkey's outcomes: a rule on the request bus with an SQS queue as its target."""

import json
import uuid
from typing import Any

from local_aws.tools.embedded_aws import Embedded, until

BUS = "latchkey-requests"


class Outcomes:
    """Collects all outcomes that are published on a bus from now on."""

    def __init__(self, aws: Embedded, bus: str = BUS) -> None:
        self._sqs = aws.client("sqs")
        self._all: list[dict[str, Any]] = []
        name = f"outcomes-{uuid.uuid4().hex[:8]}"
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement | {"Resource": arn}]})
        self._sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": policy})
        events = aws.client("events")
        events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps({"source": ["latchkey"]}))
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])

    def wait_for(self, request_id: str, seconds: float = 120) -> dict[str, Any]:
        """Returns the event of the first outcome of a request, waiting for it if necessary."""
        return until(lambda: next(iter(self.of(request_id, wait=1)), None), f"outcome of {request_id}", seconds) or {}

    def wait_for_event(self, event_id: str, seconds: float = 120) -> dict[str, Any]:
        """Returns the outcome of the request in an event; two tenants can use the same request id."""

        def found() -> dict[str, Any] | None:
            self._receive(1)
            return next((event for event in self._all if event["detail"].get("eventId") == event_id), None)

        return until(found, f"outcome of event {event_id}", seconds) or {}

    def of(self, request_id: str, wait: int = 0) -> list[dict[str, Any]]:
        """Returns the outcome events of a request in order of arrival.

        With `wait`, they are those that have been received, which is faster than to ask for more. Without one, this waits for
        events for `wait` seconds.
        """
        found = self._received(request_id) if wait else []
        if not found:
            self._receive(wait) if wait else self.all()
            found = self._received(request_id)
        return found

    def _received(self, request_id: str) -> list[dict[str, Any]]:
        return [event for event in self._all if event["detail"].get("requestId") == request_id]

    def forget(self) -> None:
        """Forgets all outcomes so far."""
        self.all()
        self._all = []

    def all(self) -> list[dict[str, Any]]:
        """Returns the events of all outcomes so far."""
        while self._receive(0):
            pass
        return self._all

    def _receive(self, wait: int) -> bool:
        """Receives up to 10 events, waiting for the first. Returns whether there can be more."""
        batch = {"QueueUrl": self._queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait}
        messages = self._sqs.receive_message(**batch).get("Messages", [])
        self._all += [json.loads(message["Body"]) for message in messages]
        if messages:
            entries = [{"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]} for message in messages]
            self._sqs.delete_message_batch(QueueUrl=self._queue, Entries=entries)
        return len(messages) == 10
