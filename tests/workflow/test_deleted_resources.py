"""Deleted resources of services without grants and trail events: a sweep finds them, and reports them once."""

from collections.abc import Callable
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded
from tests.workflow.consumer_resources import CONSUMERS, ConsumerResource
from tests.workflow.onboarding import Onboarding


def _endpoint(aws: Embedded, consumer: ConsumerResource) -> None:
    aws.client("mediapackage").delete_origin_endpoint(Id=consumer.name)


def _packaging_group(aws: Embedded, consumer: ConsumerResource) -> None:
    aws.client("mediapackage-vod").delete_packaging_group(Id=consumer.name)


def _endpoint_of_v2(aws: Embedded, consumer: ConsumerResource) -> None:
    group, channel, endpoint = consumer.resource.values()
    names = {"ChannelGroupName": group, "ChannelName": channel, "OriginEndpointName": endpoint}
    aws.client("mediapackagev2").delete_origin_endpoint(**names)


def _channel_of_v2(aws: Embedded, consumer: ConsumerResource) -> None:
    group, channel, _ = consumer.resource.values()
    _endpoint_of_v2(aws, consumer)
    aws.client("mediapackagev2").delete_channel(ChannelGroupName=group, ChannelName=channel)


def _output(aws: Embedded, consumer: ConsumerResource) -> None:
    arn = consumer.settings()["OutputArn"]
    aws.client("mediaconnect").remove_flow_output(FlowArn=consumer.resource["flowArn"], OutputArn=arn)


def _flow(aws: Embedded, consumer: ConsumerResource) -> None:
    aws.client("mediaconnect").delete_flow(FlowArn=consumer.resource["flowArn"])


def notices(onboarding: Onboarding, access_id: str) -> list[tuple[str, str, list[str]]]:
    """The events about an access that no request asked for: detail type, status and failed checks."""
    events = [event for event in onboarding.outcomes.all() if event["detail"].get("accessId") == access_id]
    details = [(event["detail-type"], event["detail"]) for event in events if event["detail-type"] != "Access Onboarded"]
    return [(kind, detail["status"], [check["name"] for check in detail.get("lost", [])]) for kind, detail in details]


@pytest.mark.parametrize(
    ("system", "delete"),
    [
        ("mediapackage", _endpoint),
        ("mediapackage-vod", _packaging_group),
        ("mediapackagev2", _endpoint_of_v2),
        ("mediapackagev2", _channel_of_v2),
        ("mediaconnect-output", _output),
        ("mediaconnect-entitlement", _flow),
    ],
)
def test_a_sweep_reports_a_deleted_resource_once_and_keeps_what_it_read(
    onboarding: Onboarding, assume: Callable[..., Any], system: str, delete: Callable[[Embedded, ConsumerResource], None]
) -> None:
    assume(emptyPages=True)
    deleted, living = CONSUMERS[system](onboarding.aws), CONSUMERS[system](onboarding.aws)
    outcomes = [onboarding.onboard(consumer.detail) for consumer in (deleted, living)]
    gone, kept = (outcome["accessId"] for outcome in outcomes)
    onboarding.sweep()
    assert notices(onboarding, gone) == []

    delete(onboarding.aws, deleted)
    onboarding.sweep()
    onboarding.sweep()

    assert notices(onboarding, gone) == [("Access Gone", "gone", ["resource is configured"])]
    assert notices(onboarding, kept) == []
    secret = onboarding.secretsmanager.describe_secret(SecretId=outcomes[0]["resources"]["secretArn"])
    assert "DeletedDate" not in secret
