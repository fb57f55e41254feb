"""The rules for requests of the other systems, and for confirmations of a handoff."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey.errors import InvalidRequest
from latchkey.requests.lifecycle import HandoffConfirmed
from latchkey.requests.parsing import parse_confirmation, parse_onboarding
from latchkey.systems import SYSTEMS
from tests.unit.samples import EXISTING_ARN, FLOW_ARN, KINDS, MISSING, READ_BY_ROLE, TOKEN, detail, role

LENGTH = "secret.value.generate.length"


def problems(detail: object, parse: Any = parse_onboarding) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        parse(detail)
    return [(problem.path, problem.rule) for problem in caught.value.problems]


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_request_of_every_kind_is_accepted(kind: str) -> None:
    request = parse_onboarding(detail(kind=kind))
    assert request.wire == detail(kind=kind)
    assert parse_onboarding(request.wire) == request


GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "a length that the algorithm has": ("mediaconnect-output", {LENGTH: 32}),
    "another algorithm's length": ("mediaconnect-output", {"resource.algorithm": "aes192", LENGTH: 48}),
    "the shortest password": ("mediaconnect-srt-password", {LENGTH: 10}),
    "the longest password": ("mediaconnect-srt-password", {LENGTH: 79}),
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
def test_a_valid_request_is_accepted(kind: str, changes: dict[str, Any]) -> None:
    assert parse_onboarding(detail(changes, kind)).system == KINDS[kind]["system"]


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "move of a key that a partner has": ("adobe-experience-platform", {"key.move": True}, "detail"),
    "128 bits for a key of 256": ("mediaconnect-source", {LENGTH: 32}, LENGTH),
    "63 digits": ("mediaconnect-source", {LENGTH: 63}, LENGTH),
    "64 digits for 128 bits": ("mediaconnect-output", {LENGTH: 64}, LENGTH),
    "40 digits for 192 bits": ("mediaconnect-entitlement", {LENGTH: 40}, LENGTH),
    "a password of 9": ("mediaconnect-srt-password", {LENGTH: 9}, LENGTH),
    "a password of 80": ("mediaconnect-srt-password", {LENGTH: 80}, LENGTH),
    "a UUID of 40": ("mediapackage", {LENGTH: 40}, LENGTH),
    "names too long together": (
        "mediapackagev2",
        {f"resource.{name}": "n" * 80 for name in ("channelGroup", "channel", "originEndpoint")},
        "detail",
    ),
    "a name too long for its tag": ("mediapackage", {"resource.originEndpoint": "n" * 229}, "detail"),
    "two parts": ("mediaconnect-source", {"resource.output": "a"}, "resource"),
    "three parts": ("mediaconnect-source", {"resource.output": "a", "resource.entitlement": "b"}, "resource"),
    "no part": ("mediaconnect-source", {"resource.source": MISSING}, "resource"),
    "no algorithm": ("mediaconnect-source", {"resource.algorithm": MISSING}, "resource"),
    "an algorithm for a password": ("mediaconnect-srt-password", {"resource.algorithm": "aes128"}, "resource"),
    "a password for an entitlement": (
        "mediaconnect-entitlement",
        {"resource.algorithm": MISSING, "resource.keyType": "srt-password"},
        "resource",
    ),
    "SPEKE": ("mediaconnect-source", {"resource.keyType": "speke"}, "resource.keyType"),
    "another algorithm": ("mediaconnect-source", {"resource.algorithm": "aes512"}, "resource.algorithm"),
    "a flow by name": ("mediaconnect-source", {"resource.flowArn": "sports"}, "resource.flowArn"),
    "a part without a name": ("mediaconnect-source", {"resource.source": ""}, "resource.source"),
    "a part with a line break": ("mediaconnect-source", {"resource.source": "camera\n1"}, "resource.source"),
    "a flow without a name": ("mediaconnect-source", {"resource.flowArn": FLOW_ARN.removesuffix("sports")}, "resource.flowArn"),
    "an endpoint with a slash": ("mediapackage", {"resource.originEndpoint": "a/b"}, "resource.originEndpoint"),
    "a group with a space": ("mediapackage-vod", {"resource.packagingGroup": "a b"}, "resource.packagingGroup"),
    "other secrets of an owner who configures": (
        "mediapackagev2",
        {"resource.otherSecrets": [EXISTING_ARN], "resource.configure": False},
        "resource",
    ),
    "an endpoint without channel": ("mediapackagev2", {"resource.channel": MISSING}, "resource.channel"),
    "a channel with a slash": ("mediapackagev2", {"resource.channel": "a/b"}, "resource.channel"),
    "a kept value that takes effect now": ("mediapackage", {"secret.keepsValue": True, "takesEffectNow": True}, "detail"),
    "a member of another system": ("mediapackage", {"resource.header": "X-A"}, "resource.header"),
}


@pytest.mark.parametrize(("kind", "changes", "path"), BAD.values(), ids=BAD)
def test_a_broken_rule_is_reported_at_its_path(kind: str, changes: dict[str, Any], path: str) -> None:
    assert [problem for problem, _ in problems(detail(changes, kind))] == [path]


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_management_roles_are_rejected_for_systems_that_do_not_need_them(kind: str) -> None:
    [(path, rule)] = problems(detail({"managementRoles": [role("A")]}, kind))
    assert path == "detail"
    assert "managementRoles" in rule


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_interrupts_somebody_can_take_effect_now(kind: str) -> None:
    request = detail({"takesEffectNow": True}, kind)
    if SYSTEMS[request["system"]].interrupts:
        assert parse_onboarding(request).takes_effect_now
    else:
        assert [path for path, _ in problems(request)] == ["detail"]


def test_the_resource_decides_the_allowed_length() -> None:
    rules = dict(problems(detail({LENGTH: 32, "key.alias": "alias/aws/kms"}, "mediaconnect-source")))
    assert [*rules] == ["key.alias", LENGTH]
    assert "64" in rules[LENGTH]


def test_the_length_for_an_invalid_resource_is_not_checked() -> None:
    [(path, _)] = problems(detail({LENGTH: 1, "resource.source": MISSING}, "mediaconnect-source"))
    assert path == "resource"


CONFIRMATION = {"requestId": "request-2", "accessId": "mediaconnect/flow/1-AbCdEf-0123456789ab/sports/source/main feed"}


def test_a_confirmation_contains_the_access_id() -> None:
    assert parse_confirmation(CONFIRMATION | {"version": "1"}) == HandoffConfirmed(
        requestId="request-2", accessId=CONFIRMATION["accessId"]
    )


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"accessId": MISSING}, "accessId"),
        ({"accessId": ""}, "accessId"),
        ({"accessId": "a" * 1025}, "accessId"),
        ({"accessId": ["a"]}, "accessId"),
        ({"requestId": "a b"}, "requestId"),
        ({"version": "2"}, "version"),
        ({"system": "mediatailor"}, "system"),
        ({"accesId": "a"}, "accesId"),
        ({"token": TOKEN}, "token"),
        ({TOKEN: 1}, "<name>"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_invalid_confirmation_is_reported_by_path_without_values(changes: dict[str, Any], path: str) -> None:
    sent = {name: value for name, value in (CONFIRMATION | changes).items() if value is not MISSING}
    [(problem_path, rule)] = problems(sent, parse_confirmation)
    assert problem_path == path
    assert TOKEN not in rule


@pytest.mark.parametrize("no_object", [None, "confirmed", 7, []])
def test_a_confirmation_that_is_not_an_object_is_rejected(no_object: object) -> None:
    [(path, _)] = problems(no_object, parse_confirmation)
    assert path == "detail"


def leaves(node: Any, path: str = "resource") -> list[str]:
    """The paths of all values in a resource."""
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [leaf for name, value in parts for leaf in leaves(value, f"{path}.{name}")] or [path]


LEAVES = [(kind, path) for kind, sample in KINDS.items() for path in leaves(sample["resource"])]


@pytest.mark.parametrize(("kind", "path"), LEAVES)
def test_no_value_of_a_resource_is_repeated(kind: str, path: str) -> None:
    rejection = str(problems(detail({path: f"{TOKEN}\n"}, kind)))
    assert path.rsplit(".", 1)[0].split(".Action", maxsplit=1)[0] in rejection
    assert TOKEN not in rejection


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, path in LEAVES if not path[-1].isdigit()])
def test_no_name_in_a_resource_is_repeated(kind: str, path: str) -> None:
    rejection = str(problems(detail({f"{path.rsplit('.', 1)[0]}.{TOKEN}": 1}, kind)))
    assert "<name>" in rejection
    assert TOKEN not in rejection
