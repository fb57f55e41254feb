"""What may be asked of the systems that read through a role, and how the owner of a resource confirms a hand-off."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey.errors import InvalidRequest
from latchkey.requests.models import HandoffConfirmed
from latchkey.requests.parsing import parse_confirmation, parse_onboarding
from tests.unit.samples import EXISTING_ARN, FLOW_ARN, KINDS, MISSING, READ_BY_ROLE, TOKEN, detail, role

ONE_PART = "must hold exactly one of source, output, entitlement"
WITH_ALGORITHM = "must hold algorithm with keyType static-key, and only then"
LENGTH = "secret.value.generate.length"


def problems(detail: object, parse: Any = parse_onboarding) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        parse(detail)
    return [(problem.path, problem.rule) for problem in caught.value.problems]


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_request_of_every_kind_is_taken(kind: str) -> None:
    request = parse_onboarding(detail(kind=kind))
    assert request.wire == detail(kind=kind)
    assert parse_onboarding(request.wire) == request


GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "a length that the algorithm has": ("mediaconnect-output", {LENGTH: 32}),
    "another algorithm's length": ("mediaconnect-output", {"resource.algorithm": "aes192", LENGTH: 48}),
    "the shortest password": ("mediaconnect-srt-password", {LENGTH: 10}),
    "the longest password": ("mediaconnect-srt-password", {LENGTH: 80}),
    "an imported key": ("mediaconnect-source", {"secret.value.copyFrom.secretArn": EXISTING_ARN}),
    "a password for a source": ("mediaconnect-source", {"resource.algorithm": MISSING, "resource.keyType": "srt-password"}),
    "a part whose name has spaces": ("mediaconnect-source", {"resource.source": "main feed"}),
    "the length of a UUID": ("mediapackage", {LENGTH: 36}),
    "no managers": ("mediapackagev2", {"managementRoles": []}),
    "an adopted secret": ("mediapackagev2", {"secret.value.existing.secretArn": EXISTING_ARN}),
    "the longest name that fits a tag": ("mediapackage", {"resource.originEndpoint": "n" * 228}),
    "a hand-off": ("mediapackage-vod", {"resource.configure": False}),
    "several instances of a Region": ("adobe-experience-platform", {"resource.instance": "stage"}),
}


@pytest.mark.parametrize(("kind", "changes"), GOOD.values(), ids=GOOD)
def test_a_sound_request_is_accepted(kind: str, changes: dict[str, Any]) -> None:
    assert parse_onboarding(detail(changes, kind)).system == KINDS[kind]["system"]


BAD: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "128 bits for a key of 256": ("mediaconnect-source", {LENGTH: 32}, LENGTH, "must be 64"),
    "63 digits": ("mediaconnect-source", {LENGTH: 63}, LENGTH, "must be 64"),
    "64 digits for 128 bits": ("mediaconnect-output", {LENGTH: 64}, LENGTH, "must be 32"),
    "40 digits for 192 bits": ("mediaconnect-entitlement", {LENGTH: 40}, LENGTH, "must be 48"),
    "a password of 9": ("mediaconnect-srt-password", {LENGTH: 9}, LENGTH, "must be between 10 and 80"),
    "a password of 81": ("mediaconnect-srt-password", {LENGTH: 81}, LENGTH, "must be between 10 and 80"),
    "a UUID of 40": ("mediapackage", {LENGTH: 40}, LENGTH, "must be 36"),
    "names too long together": (
        "mediapackagev2",
        {f"resource.{name}": "n" * 80 for name in ("channelGroup", "channel", "originEndpoint")},
        "detail",
        "must make an access id of at most 256 characters",
    ),
    "a name too long for its tag": (
        "mediapackage",
        {"resource.originEndpoint": "n" * 229},
        "detail",
        "must make an access id of at most 256 characters",
    ),
    "two parts": ("mediaconnect-source", {"resource.output": "a"}, "resource", ONE_PART),
    "three parts": ("mediaconnect-source", {"resource.output": "a", "resource.entitlement": "b"}, "resource", ONE_PART),
    "no part": ("mediaconnect-source", {"resource.source": MISSING}, "resource", ONE_PART),
    "no algorithm": ("mediaconnect-source", {"resource.algorithm": MISSING}, "resource", WITH_ALGORITHM),
    "an algorithm for a password": (
        "mediaconnect-srt-password",
        {"resource.algorithm": "aes128"},
        "resource",
        WITH_ALGORITHM,
    ),
    "a password for an entitlement": (
        "mediaconnect-entitlement",
        {"resource.algorithm": MISSING, "resource.keyType": "srt-password"},
        "resource",
        "must have keyType static-key for an entitlement",
    ),
    "SPEKE": ("mediaconnect-source", {"resource.keyType": "speke"}, "resource.keyType", "'static-key' or 'srt-password'"),
    "another algorithm": (
        "mediaconnect-source",
        {"resource.algorithm": "aes512"},
        "resource.algorithm",
        "'aes192' or 'aes256'",
    ),
    "a flow by name": ("mediaconnect-source", {"resource.flowArn": "sports"}, "resource.flowArn", "pattern"),
    "a part by ARN": ("mediaconnect-source", {"resource.source": FLOW_ARN}, "resource.source", "pattern"),
    "an endpoint with a slash": ("mediapackage", {"resource.originEndpoint": "a/b"}, "resource.originEndpoint", "pattern"),
    "a group with a space": ("mediapackage-vod", {"resource.packagingGroup": "a b"}, "resource.packagingGroup", "pattern"),
    "an endpoint without channel": ("mediapackagev2", {"resource.channel": MISSING}, "resource.channel", "is missing"),
    "a channel with a slash": ("mediapackagev2", {"resource.channel": "a/b"}, "resource.channel", "pattern"),
    "a member of another system": ("mediapackage", {"resource.header": "X-A"}, "resource.header", "is not a member here"),
}


@pytest.mark.parametrize(("kind", "changes", "place", "rule"), BAD.values(), ids=BAD)
def test_a_broken_rule_is_told_with_its_place(kind: str, changes: dict[str, Any], place: str, rule: str) -> None:
    [(told_place, told_rule)] = problems(detail(changes, kind))
    assert told_place == place
    assert rule in told_rule


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_managers_are_refused_where_policies_need_not_know_them(kind: str) -> None:
    [(place, rule)] = problems(detail({"managementRoles": [role("A")]}, kind))
    assert place == "detail"
    assert rule.startswith("must leave out managementRoles")


def test_a_length_is_judged_by_the_resource_beside_other_errors() -> None:
    told = problems(detail({LENGTH: 32, "key.alias": "alias/aws/kms"}, "mediaconnect-source"))
    assert told == [
        ("key.alias", "must not begin with alias/aws/, which is reserved for AWS managed keys"),
        (LENGTH, "must be 64"),
    ]


def test_a_length_for_a_resource_that_is_none_is_not_judged() -> None:
    assert [place for place, _ in problems(detail({LENGTH: 1, "resource.source": MISSING}, "mediaconnect-source"))] == [
        "resource"
    ]


CONFIRMATION = {"requestId": "request-2", "accessId": "mediaconnect/flow/1-AbCdEf-0123456789ab/sports/source/main feed"}


def test_a_confirmation_names_the_access() -> None:
    assert parse_confirmation(CONFIRMATION | {"version": "1"}) == HandoffConfirmed(
        requestId="request-2", accessId=CONFIRMATION["accessId"]
    )


@pytest.mark.parametrize(
    ("changes", "place", "rule"),
    [
        ({"accessId": MISSING}, "accessId", "is missing"),
        ({"accessId": ""}, "accessId", "pattern"),
        ({"accessId": "a" * 1025}, "accessId", "pattern"),
        ({"accessId": ["a"]}, "accessId", "must be text"),
        ({"requestId": "a b"}, "requestId", "pattern"),
        ({"version": "2"}, "version", "must be '1'"),
        ({"system": "mediatailor"}, "system", "is not a member here"),
        ({"accesId": "a"}, "accesId", "did you mean accessId?"),
        ({"token": TOKEN}, "token", "must be replaced"),
        ({TOKEN: 1}, "<name>", "is not a member here"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_confirmation_is_told_with_its_place_and_without_its_values(
    changes: dict[str, Any], place: str, rule: str
) -> None:
    sent = {name: value for name, value in (CONFIRMATION | changes).items() if value is not MISSING}
    [(told_place, told_rule)] = problems(sent, parse_confirmation)
    assert told_place == place
    assert rule in told_rule
    assert TOKEN not in told_rule


@pytest.mark.parametrize("no_object", [None, "confirmed", 7, []])
def test_a_confirmation_that_is_no_object_is_rejected(no_object: object) -> None:
    assert problems(no_object, parse_confirmation) == [("detail", "must be an object")]


def leaves(node: Any, path: str = "resource") -> list[str]:
    """The paths of all values in a resource."""
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [leaf for name, value in parts for leaf in leaves(value, f"{path}.{name}")] or [path]


LEAVES = [(kind, path) for kind, sample in KINDS.items() for path in leaves(sample["resource"])]


@pytest.mark.parametrize(("kind", "path"), LEAVES)
def test_no_value_of_a_resource_is_repeated(kind: str, path: str) -> None:
    told = str(problems(detail({path: f"{TOKEN}\n"}, kind)))
    assert path.rsplit(".", 1)[0].split(".Action", maxsplit=1)[0] in told
    assert TOKEN not in told


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, path in LEAVES if not path[-1].isdigit()])
def test_no_name_in_a_resource_is_repeated(kind: str, path: str) -> None:
    told = str(problems(detail({f"{path.rsplit('.', 1)[0]}.{TOKEN}": 1}, kind)))
    assert "<name>" in told
    assert TOKEN not in told
