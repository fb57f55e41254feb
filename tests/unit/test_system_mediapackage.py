"""MediaPackage live: origin endpoints and their CDN authorization."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.systems.mediapackage import MEDIAPACKAGE, OriginEndpoints
from latchkey.systems.system import Configured, Reading
from tests.unit.samples import KEY_ARN, PLACE, SECRET_ARN, desired, role

WANTED = desired(kind="mediapackage")
READING = Reading(SECRET_ARN, role("latchkey-reader"))
NAMED = {"Id": "sports-hls"}
AUTHORIZATION = {"CdnIdentifierSecret": SECRET_ARN, "SecretsRoleArn": role("latchkey-reader")}
ARN = PLACE.arn("mediapackage", "origin_endpoints/0123456789abcdef")
# Members that an update does not accept.
DESCRIBED = {"Arn": ARN, "ChannelId": "sports", "CreatedAt": "2026-11-22T08:00:00Z", "Url": "https://example.com/index.m3u8"}
SETTINGS: dict[str, Any] = {
    "Description": "Sports, live",
    "HlsPackage": {"PlaylistWindowSeconds": 90, "SegmentDurationSeconds": 4},
    "ManifestName": "sports",
    "Origination": "ALLOW",
    "StartoverWindowSeconds": 3600,
    "TimeDelaySeconds": 30,
    "Whitelist": ["10.0.0.0/8"],
}
MANIFEST = {"Id": "main", "ManifestName": "index", "PlaylistWindowSeconds": 60}


@pytest.fixture
def mediapackage() -> Any:
    return boto3.client("mediapackage")


@pytest.fixture
def answers(mediapackage: Any) -> Iterator[Stubber]:
    with Stubber(mediapackage) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def read(mediapackage: Any, answers: Stubber, **members: Any) -> Configured:
    answers.add_response("describe_origin_endpoint", DESCRIBED | NAMED | members, NAMED)
    found = OriginEndpoints().read(mediapackage, WANTED.resource)
    assert found
    return found


def test_an_endpoint_with_our_secret_and_role_has_the_wanted_settings(mediapackage: Any, answers: Stubber) -> None:
    found = read(mediapackage, answers, Authorization=AUTHORIZATION, Tags={"team": "sports"})
    assert (found.arn, found.secret_arn, found.tags) == (ARN, SECRET_ARN, {"team": "sports"})
    assert found.settings == OriginEndpoints().wanted(WANTED.resource, READING)


def test_an_endpoint_without_authorization_has_no_secret(mediapackage: Any, answers: Stubber) -> None:
    found = read(mediapackage, answers)
    assert found.secret_arn is None
    assert found.tags == {}
    assert found.full_settings == NAMED
    assert found.settings == OriginEndpoints().wanted(WANTED.resource, Reading("", None))


def test_a_404_means_that_there_is_no_endpoint(mediapackage: Any, answers: Stubber) -> None:
    answers.add_client_error("describe_origin_endpoint", "NotFoundException", http_status_code=404)
    assert OriginEndpoints().read(mediapackage, WANTED.resource) is None


def test_the_list_of_endpoints_has_all_of_its_pages(mediapackage: Any, answers: Stubber) -> None:
    listed = {**NAMED, "Arn": "arn:1"}
    answers.add_response("list_origin_endpoints", {"OriginEndpoints": [], "NextToken": "2"}, {"MaxResults": 1000})
    answers.add_response("list_origin_endpoints", {"OriginEndpoints": [listed]}, {"MaxResults": 1000, "NextToken": "2"})
    assert [*OriginEndpoints().listed(mediapackage)] == [WANTED.resource.name]


@pytest.mark.parametrize("status", [403, 422, 429, 500])
def test_other_errors_do_not_mean_absence(mediapackage: Any, answers: Stubber, status: int) -> None:
    answers.add_client_error("describe_origin_endpoint", "Something", http_status_code=status)
    with pytest.raises(ClientError, match="Something"):
        OriginEndpoints().read(mediapackage, WANTED.resource)


CMAF = {"SegmentPrefix": "a", "HlsManifests": [MANIFEST]}


@pytest.mark.parametrize(
    ("present", "kept"),
    [
        (SETTINGS, SETTINGS),
        ({}, {}),
        (
            {"CmafPackage": CMAF | {"HlsManifests": [MANIFEST | {"Url": "https://example.com/a/index.m3u8"}]}},
            {"CmafPackage": CMAF},
        ),
    ],
    ids=["HLS", "nothing", "CMAF with URLs of manifests"],
)
def test_an_endpoint_keeps_its_other_settings_when_it_is_updated_and_restored(
    mediapackage: Any, answers: Stubber, present: dict[str, Any], kept: dict[str, Any]
) -> None:
    found = read(mediapackage, answers, **present)
    answers.add_response("update_origin_endpoint", {}, NAMED | kept | {"Authorization": AUTHORIZATION})
    OriginEndpoints().update(mediapackage, WANTED.resource, READING, found)
    answers.add_response("update_origin_endpoint", {}, NAMED | kept)
    # The registry stores it as JSON.
    OriginEndpoints().restore_from(mediapackage, found, json.loads(json.dumps(found.full_settings)))


def test_the_former_authorization_of_an_endpoint_is_restored(mediapackage: Any, answers: Stubber) -> None:
    former = {"CdnIdentifierSecret": SECRET_ARN.replace("sports", "news"), "SecretsRoleArn": role("Former")}
    found = read(mediapackage, answers, Authorization=former, **SETTINGS)
    answers.add_response("update_origin_endpoint", {}, NAMED | SETTINGS | {"Authorization": former})
    OriginEndpoints().restore(mediapackage, found.full_settings)


def test_a_handoff_contains_secret_role_and_header() -> None:
    handoff = MEDIAPACKAGE.handoff(WANTED.resource, READING, KEY_ARN, PLACE)
    assert handoff.values == NAMED | AUTHORIZATION
    assert handoff.cloud_formation == {
        "Resource": {"Type": "AWS::MediaPackage::OriginEndpoint", "Properties": NAMED | {"Authorization": AUTHORIZATION}}
    }
    assert any("X-MediaPackage-CDNIdentifier" in step for step in handoff.steps)


def test_the_value_and_the_effect_delay_are_as_documented() -> None:
    shape = WANTED.secret_shape
    assert shape
    assert (shape.member, shape.minimum, shape.maximum, shape.generated) == ("MediaPackageCDNIdentifier", 8, 128, (36, 36))
    assert MEDIAPACKAGE.effect_delay_seconds == 600


def test_settings_changed_meanwhile_stay_when_the_authorization_is_restored() -> None:
    ours, theirs = {"CdnIdentifierSecret": "ours"}, {"CdnIdentifierSecret": "theirs"}
    present = {"Id": "sports", "Description": "set meanwhile", "Authorization": ours}
    configuration = MEDIAPACKAGE.configuration
    assert configuration is not None
    assert configuration.restored_settings(present, {"Id": "sports", "Description": "former"}, present) == {
        "Id": "sports",
        "Description": "set meanwhile",
    }
    former = {"Id": "sports", "Authorization": theirs}
    assert configuration.restored_settings(present, former, present) == present | {"Authorization": theirs}


def test_an_authorization_that_was_changed_meanwhile_stays() -> None:
    configuration = MEDIAPACKAGE.configuration
    assert configuration is not None
    present = {"Id": "sports", "Authorization": {"CdnIdentifierSecret": "changed meanwhile"}}
    left = present | {"Authorization": {"CdnIdentifierSecret": "ours"}}
    assert configuration.restored_settings(present, {"Id": "sports"}, left) == present
    # The owner of an endpoint consents by a tag on the endpoint itself.
    found = Configured("arn", {}, None, {}, present, {"team": "sports"})
    assert configuration.consent_target(None, found) == ("arn", {"team": "sports"})
