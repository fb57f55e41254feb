"""How each system stops using a secret: the settings without it, or the steps of a person where no API call does that."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.systems.mediatailor import MEDIATAILOR
from latchkey.systems.system import Configuration, CreatingConfiguration
from tests.unit.samples import KINDS, PLACE, SECRET_ARN, desired

OTHER_SECRET = PLACE.arn("secretsmanager", "secret:others-AbCdEf")
OWN = {"Sid": "LatchkeyCdnAuthorization", "Effect": "Allow", "Principal": "*"}
OWNERS = {"Sid": "Everyone", "Effect": "Allow", "Principal": "*"}


def configuration(kind: str) -> Configuration:
    found = desired(kind=kind).system.configuration
    assert found is not None
    return found


def endpoint(*secrets: str, statements: tuple[dict[str, Any], ...] = (OWN,)) -> dict[str, Any]:
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return {
        "Policy": policy,
        "CdnAuthConfiguration": {"CdnIdentifierSecretArns": [*secrets], "SecretsRoleArn": "role"},
        "Other": 1,
    }


def test_an_endpoint_goes_on_accepting_the_values_of_other_secrets() -> None:
    found = endpoint(SECRET_ARN, OTHER_SECRET)
    assert configuration("mediapackagev2").without_secret(found, SECRET_ARN) == endpoint(OTHER_SECRET)


def test_an_endpoint_keeps_the_statements_of_its_owner() -> None:
    v2 = configuration("mediapackagev2")
    assert v2.without_secret(endpoint(SECRET_ARN), SECRET_ARN) == {"Other": 1}
    kept = v2.without_secret(endpoint(SECRET_ARN, statements=(OWN, OWNERS)), SECRET_ARN)
    assert kept is not None
    assert json.loads(kept["Policy"])["Statement"] == [OWNERS]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("mediatailor", "mediapackagev2")])
def test_without_an_api_call_there_are_steps_for_a_person(kind: str) -> None:
    wanted = desired(kind=kind)
    if wanted.system.configuration is not None:
        assert wanted.system.configuration.without_secret({}, SECRET_ARN) is None
        assert wanted.system.configuration.steps_without_api(wanted.resource)


@pytest.mark.parametrize("kind", ["mediatailor", "mediapackagev2"])
def test_with_an_api_call_there_are_none(kind: str) -> None:
    wanted = desired(kind=kind)
    assert configuration(kind).steps_without_api(wanted.resource) == ()


def test_a_secret_is_found_wherever_the_settings_name_it() -> None:
    v2 = configuration("mediapackagev2")
    assert v2.names_secret(endpoint(OTHER_SECRET, SECRET_ARN), SECRET_ARN.__eq__)
    assert not v2.names_secret(endpoint(OTHER_SECRET), SECRET_ARN.__eq__)


def test_the_sources_of_a_location_are_its_contents() -> None:
    location, client = MEDIATAILOR.configuration, boto3.client("mediatailor")
    assert isinstance(location, CreatingConfiguration)
    resource, common = desired().resource, {"Arn": "arn", "SourceLocationName": "sports-origin"}
    package = {"Path": "/film.m3u8", "SourceGroup": "hls", "Type": "HLS"}
    sources = common | {"HttpPackageConfigurations": [package]}
    named = {"SourceLocationName": "sports-origin"}
    with Stubber(client) as answers:
        answers.add_response("list_vod_sources", {"Items": [sources | {"VodSourceName": "film"}]}, named)
        answers.add_response("list_live_sources", {"Items": [sources | {"LiveSourceName": "match"}]}, named)
        assert location.contents(client, resource) == ("liveSource/match", "vodSource/film")
