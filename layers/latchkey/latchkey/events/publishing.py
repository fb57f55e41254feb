"""Publishing one event on the request bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latchkey.errors import TransientAwsError

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient

SOURCE = "latchkey"


def publish(events: EventBridgeClient, bus: str, detail_type: str, detail: str, arns: list[str]) -> None:
    """Publishes one event on the bus. Raises TransientAwsError if EventBridge rejects the entry."""
    answer = events.put_events(
        Entries=[{"EventBusName": bus, "Source": SOURCE, "DetailType": detail_type, "Detail": detail, "Resources": arns}]
    )
    if answer["FailedEntryCount"]:
        raise TransientAwsError(f"EventBridge rejected the event: {answer['Entries'][0].get('ErrorCode')}")
