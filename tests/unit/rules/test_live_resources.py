"""A resource that serves now: whether it waits for its token, and what else a confirmation and a sender should know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from latchkey.access.desired import Desired
from latchkey.onboarding.rules.evidence import ResourceEvidence
from latchkey.onboarding.rules.resource import configured_problems, public_problems, waits_for_token
from latchkey.systems.system import Configured
from tests.unit.rules.samples import configured, paths, record
from tests.unit.samples import EXISTING_ARN, KEY_ARN, SECRET_ARN, desired

ENDPOINT = "mediapackage/originEndpoint/sports-hls"
ACTIVE = record(KEY_ARN, SECRET_ARN, ENDPOINT)
COPIED = {"secret.value": {"copyFrom": {"secretArn": EXISTING_ARN}}}
ADOPTED = {"secret.value": {"existing": {"secretArn": EXISTING_ARN}}}


def endpoint(changes: dict[str, Any] | None = None) -> Desired:
    return desired(changes or {}, "mediapackage")


@pytest.mark.parametrize("kind", ["mediapackage", "mediapackage-vod", "mediaconnect-source", "mediaconnect-output"])
def test_an_open_resource_waits_for_its_generated_token(kind: str) -> None:
    request = desired({}, kind)

    assert request.configures
    assert not request.can_be_removed
    assert waits_for_token(request, configured(request), SECRET_ARN, None)


AT_ONCE: dict[str, tuple[Desired, dict[str, Any]]] = {
    "a new resource": (endpoint(), {"configured": None}),
    "a resource with a token": (endpoint(), {"secret_arn": SECRET_ARN}),
    "a resource with another authentication": (endpoint(), {"authentication": "speke"}),
    "a resource that its owner configures": (endpoint({"resource.configure": False}), {}),
    "an interruption that is accepted": (endpoint({"takesEffectNow": True}), {}),
    "a token that was in service": (endpoint(), {"record": ACTIVE}),
    "a copied token": (endpoint(COPIED), {}),
    "an adopted token": (endpoint(ADOPTED), {}),
    "a service that interrupts nobody": (desired(), {}),
}


@pytest.mark.parametrize(("request_", "facts"), AT_ONCE.values(), ids=AT_ONCE)
def test_everything_else_takes_effect_at_once(request_: Desired, facts: dict[str, Any]) -> None:
    present = replace(configured(request_, facts.get("secret_arn")), authentication=facts.get("authentication", ""))
    found: Configured | None = None if "configured" in facts else present

    assert not waits_for_token(request_, found, SECRET_ARN, facts.get("record"))


@pytest.mark.parametrize("former", [replace(ACTIVE, reached="handed-off"), replace(ACTIVE, secret_arn=EXISTING_ARN)])
def test_a_token_that_was_never_in_service_is_waited_for(former: Any) -> None:
    assert waits_for_token(endpoint(), configured(endpoint()), SECRET_ARN, former)


@pytest.mark.parametrize("changes", [COPIED, ADOPTED], ids=["copied", "adopted"])
def test_the_new_token_of_another_access_is_waited_for(changes: dict[str, Any]) -> None:
    request, now = endpoint(changes), endpoint(changes | {"takesEffectNow": True})

    assert waits_for_token(request, configured(request), SECRET_ARN, None, brings_new_token=True)
    # The copy that was in service before can be of another token.
    assert waits_for_token(request, configured(request), SECRET_ARN, ACTIVE, brings_new_token=True)
    assert not waits_for_token(now, configured(now), SECRET_ARN, None, brings_new_token=True)
    assert not waits_for_token(request, configured(request, SECRET_ARN), SECRET_ARN, None, brings_new_token=True)


KEEPS = {"secret.keepsValue": True}
LOST = SECRET_ARN.replace("AbCdEf", "LoSt01")
EVERY_SECRET = ["mediatailor", "mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect-source"]


@pytest.mark.parametrize("kind", EVERY_SECRET)
@pytest.mark.parametrize("changes", [KEEPS, COPIED | KEEPS], ids=["generated", "copied"])
@pytest.mark.parametrize("present", [{"secret_arn": LOST}, {"authentication": "speke"}], ids=["lost secret", "other way"])
def test_a_new_value_for_a_lost_secret_waits_whatever_the_system(
    kind: str, changes: dict[str, Any], present: dict[str, Any]
) -> None:
    request = desired(changes, kind)
    used = replace(configured(request), **present)

    assert waits_for_token(request, used, SECRET_ARN, replace(ACTIVE, secret_arn=LOST))
    assert waits_for_token(request, used, None, None)
    # Those who used the secret that the access still has can go on.
    assert not waits_for_token(request, used, SECRET_ARN, ACTIVE)


@pytest.mark.parametrize("kind", EVERY_SECRET)
def test_a_kept_value_takes_effect_at_once_where_nothing_changes(kind: str) -> None:
    request, theirs = desired(KEEPS, kind), desired(KEEPS | {"resource.configure": False}, kind)

    assert not waits_for_token(request, None, None, None)
    assert not waits_for_token(request, configured(request, SECRET_ARN), SECRET_ARN, None)
    assert not waits_for_token(theirs, configured(theirs, LOST), SECRET_ARN, None)


@pytest.mark.parametrize(("kind", "waits"), [("mediapackage", True), ("mediatailor", False)])
def test_a_new_value_for_an_open_resource_waits_if_that_interrupts_somebody(kind: str, waits: bool) -> None:
    request = desired(COPIED | KEEPS, kind)

    assert waits_for_token(request, configured(request), None, replace(ACTIVE, secret_arn=LOST)) is waits
    assert not waits_for_token(request, configured(request), SECRET_ARN, ACTIVE)


@pytest.mark.parametrize(
    ("changes", "former", "expected"),
    [
        (KEEPS, replace(ACTIVE, secret_arn=LOST), []),
        ({}, replace(ACTIVE, secret_arn=LOST), ["secret.replacesToken"]),
        (KEEPS, None, ["secret.replacesToken"]),
        (KEEPS, replace(ACTIVE, secret_arn=EXISTING_ARN), ["secret.replacesToken"]),
        (KEEPS | {"secret.name": "latchkey/another"}, replace(ACTIVE, secret_arn=LOST), ["secret.replacesToken"]),
    ],
    ids=["lost", "replaced", "not recorded", "other record", "other name"],
)
def test_only_the_lost_secret_of_the_access_is_replaced_without_a_request(
    changes: dict[str, Any], former: Any, expected: list[str]
) -> None:
    request = desired(changes)
    assert request.system.configuration
    evidence = ResourceEvidence(configured=configured(request, LOST), needs_consent=False)

    assert paths(configured_problems(request, request.system.configuration, evidence, None, former)) == expected


def test_a_confirmed_resource_must_not_admit_everybody() -> None:
    request = desired({}, "mediapackagev2")
    public = replace(configured(request), public_statements=("Everybody",))

    assert paths(public_problems(ResourceEvidence(configured=public))) == ["resource"]
    assert [*public_problems(ResourceEvidence(configured=configured(request)))] == []
    assert [*public_problems(ResourceEvidence(configured=None))] == []
    assert [*public_problems(None)] == []


@pytest.mark.parametrize(("changes", "expected"), [({}, ["secret.replacesToken"]), ({"secret.replacesToken": True}, [])])
def test_another_way_to_authenticate_is_replaced_only_on_request(changes: dict[str, Any], expected: list[str]) -> None:
    request = endpoint(changes)
    present = replace(configured(request), authentication="speke")
    configuration = request.system.configuration
    assert configuration

    evidence = ResourceEvidence(configured=present, needs_consent=False)
    assert paths(configured_problems(request, configuration, evidence, SECRET_ARN, None)) == expected


BUCKETS = [
    "bucket.s3.eu-west-1.amazonaws.com",
    "s3.amazonaws.com",
    "bucket.s3-website.eu-west-1.amazonaws.com",
    "bucket.s3.cn-north-1.amazonaws.com.cn",
]


@pytest.mark.parametrize("host", BUCKETS)
def test_a_bucket_as_an_origin_is_warned_of(host: str) -> None:
    assert [*desired({"resource.baseUrl": f"https://{host}/vod"}).resource.warnings] == ["baseUrl"]


@pytest.mark.parametrize("host", ["origin.example.com", "s3.example.com", "mys3.amazonaws.com"])
def test_another_host_is_not_warned_of(host: str) -> None:
    assert desired({"resource.baseUrl": f"https://{host}/vod"}).resource.warnings == {}


def test_other_resources_have_no_warnings() -> None:
    assert endpoint().resource.warnings == {}
