"""MediaPackage VOD: packaging groups and their CDN authorization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.systems.mediapackage_vod import MEDIAPACKAGE_VOD, PackagingGroups
from latchkey.systems.system import Reading
from tests.unit.samples import KEY_ARN, PLACE, SECRET_ARN, desired, role

WANTED = desired(kind="mediapackage-vod")
READING = Reading(SECRET_ARN, role("latchkey-reader"))
NAMED = {"Id": "sports-vod"}
AUTHORIZATION = {"CdnIdentifierSecret": SECRET_ARN, "SecretsRoleArn": role("latchkey-reader")}
ARN = PLACE.arn("mediapackage-vod", "packaging-groups/sports-vod")
DESCRIBED = {
    "Arn": ARN,
    "ApproximateAssetCount": 7,
    "DomainName": "https://example.com",
    "EgressAccessLogs": {"LogGroupName": "/aws/MediaPackage/VodEgressAccessLogs"},
    "Tags": {"team": "sports"},
}


@pytest.fixture
def vod() -> Any:
    return boto3.client("mediapackage-vod")


@pytest.fixture
def answers(vod: Any) -> Iterator[Stubber]:
    with Stubber(vod) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize("former", [None, AUTHORIZATION | {"SecretsRoleArn": role("Former")}], ids=["none", "another role"])
def test_a_group_is_updated_and_restored_by_its_authorization(
    vod: Any, answers: Stubber, former: dict[str, str] | None
) -> None:
    before = {"Authorization": former} if former else {}
    answers.add_response("describe_packaging_group", DESCRIBED | NAMED | before, NAMED)
    found = PackagingGroups().read(vod, WANTED.resource)
    assert found
    assert (found.arn, found.secret_arn, found.tags) == (ARN, SECRET_ARN if former else None, {"team": "sports"})
    assert found.settings != PackagingGroups().wanted(WANTED.resource, READING)
    answers.add_response("update_packaging_group", {}, NAMED | {"Authorization": AUTHORIZATION})
    PackagingGroups().update(vod, WANTED.resource, READING, found)
    answers.add_response("update_packaging_group", {}, NAMED | before)
    PackagingGroups().restore(vod, found.full_settings)


def test_a_handoff_is_for_a_packaging_group() -> None:
    handoff = MEDIAPACKAGE_VOD.handoff(WANTED.resource, READING, KEY_ARN, PLACE)
    assert handoff.values == NAMED | AUTHORIZATION
    assert handoff.cloud_formation
    assert handoff.cloud_formation["Resource"]["Type"] == "AWS::MediaPackage::PackagingGroup"
    assert any("packagingGroup sports-vod" in step for step in handoff.steps)


def test_live_and_vod_have_the_same_value_and_effect_delay() -> None:
    live = desired(kind="mediapackage")
    assert WANTED.secret_shape == live.secret_shape
    assert WANTED.system.effect_delay_seconds == live.system.effect_delay_seconds == 600
