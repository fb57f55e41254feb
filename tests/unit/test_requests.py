"""The rules that a MediaTailor request must satisfy without a call to AWS."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter
from pydantic_core import ErrorDetails

from latchkey.errors import InvalidRequest
from latchkey.requests import parsing
from latchkey.requests.models import NO_TOKEN_HERE
from latchkey.requests.parsing import AnyOnboarding, parse_onboarding
from tests.unit.samples import ACCOUNT, EXISTING_ARN, FULL, KEY_ARN, MISSING, SECRET_ARN, detail, nested, role, user


def problems(detail: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        parse_onboarding(detail)
    return [(problem.path, problem.rule) for problem in caught.value.problems]


def paths(detail: object) -> list[str]:
    return [path for path, _ in problems(detail)]


def test_the_smallest_request_has_the_documented_defaults() -> None:
    request = parse_onboarding(detail())
    assert request.access_id == "mediatailor/sourceLocation/sports-origin"
    assert request.secret.value.generate is not None
    assert request.secret.value.generate.length is None
    assert request.resource.configure
    assert request.secret.value.source_arn is None
    assert (request.key.alias, request.key.arn, request.key.rotation_days, request.key.allow_deletion) == (
        None,
        None,
        365,
        False,
    )
    assert (request.management_roles, request.tags, request.mode, request.version) == ((), {}, "apply", "1")


def test_a_complete_request_is_parsed() -> None:
    request = parse_onboarding(detail(FULL))
    assert request.management_roles == (role("MediaTailorManagement"), role("media/Operators"))
    assert request.key.administrators == (role("KeyAdmins"), user("alice"))
    assert request.key.allow_deletion
    assert request.tags == {"team": "sports"}


@pytest.mark.parametrize(
    ("way", "source"),
    [
        ({"copyFrom": {"secretArn": EXISTING_ARN, "key": "token"}}, EXISTING_ARN),
        ({"existing": {"secretArn": EXISTING_ARN}}, EXISTING_ARN),
        ({"generate": {}}, None),
    ],
)
def test_a_value_has_one_of_three_sources(way: dict[str, Any], source: str | None) -> None:
    assert parse_onboarding(detail({"secret.value": way})).secret.value.source_arn == source


GOOD: dict[str, dict[str, Any]] = {
    "shortest token": {"secret.value.generate.length": 8},
    "longest token": {"secret.value.generate.length": 128},
    "shortest rotation": {"key.rotationDays": 90},
    "longest rotation": {"key.rotationDays": 2560},
    "http origin": {"resource.baseUrl": "http://127.0.0.1:8080/vod"},
    "IPv6 origin": {"resource.baseUrl": "https://[2001:db8::1]:8443/vod"},
    "at sign in the path": {"resource.baseUrl": "https://origin.example.com/@sports"},
    "header of MediaPackage": {"resource.header": "X-MediaPackage-CDNIdentifier"},
    "header that only resembles a reserved one": {"resource.header": "X-Amazon-Token"},
    "longest header": {"resource.header": "h" * 256},
    "longest source location": {"resource.sourceLocation": "s" * 128},
    "source location with underscore": {"resource.sourceLocation": "sports_origin-2"},
    "longest alias": {"key.alias": "alias/" + "a" * 250},
    "alias that only resembles a reserved one": {"key.alias": "alias/awsome"},
    "secret name with a word of five letters after the hyphen": {"secret.name": "latchkey/origin-token"},
    "longest secret name": {"secret.name": "n" * 505},
    "key of another Region, which the look at AWS judges": {"key.arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/mrk-12"},
    "fifty readers": {"secret.originReaders": [role(f"Origin{n}") for n in range(50)]},
    "forty tags": {"tags": {f"tag{n}": "" for n in range(40)}},
    "longest tag": {"tags": {"k" * 128: "v" * 256}},
    "longest request id": {"requestId": "r" * 128},
    "move to another alias": {"key": {"alias": "alias/latchkey/new", "move": True}},
    "move to another key": {"key": {"arn": KEY_ARN, "move": True}},
    "replacement and move": {"secret.replacesToken": True, "secret.moveKey": True},
    "kept value": {"secret.keepsValue": True},
    "configure as the default": {"resource.configure": True},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_a_valid_request_is_accepted(changes: dict[str, Any]) -> None:
    assert parse_onboarding(detail(changes)).system == "mediatailor"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no system": ({"system": MISSING}, "system"),
    "unknown system": ({"system": "mediastore"}, "system"),
    "system in another case": ({"system": "MediaTailor"}, "system"),
    "system in a list": ({"system": ["mediatailor"]}, "system"),
    "empty system": ({"system": ""}, "system"),
    "no resource": ({"resource": MISSING}, "resource"),
    "resource as text": ({"resource": "sports-origin"}, "resource"),
    "no request id": ({"requestId": MISSING}, "requestId"),
    "request id as number": ({"requestId": 7}, "requestId"),
    "empty request id": ({"requestId": ""}, "requestId"),
    "long request id": ({"requestId": "r" * 129}, "requestId"),
    "request id with a slash": ({"requestId": "a/b"}, "requestId"),
    "version as number": ({"version": 1}, "version"),
    "future version": ({"version": "2"}, "version"),
    "unknown mode": ({"mode": "destroy"}, "mode"),
    "unknown member": ({"colour": "red"}, "colour"),
    "misspelled member": ({"managmentRoles": []}, "managmentRoles"),
    "misspelled member of the resource": ({"resource.baseurl": ""}, "resource.baseurl"),
    "misspelled member of the key": ({"key.rotationDay": 90}, "key.rotationDay"),
    "no source location": ({"resource.sourceLocation": MISSING}, "resource.sourceLocation"),
    "no base URL": ({"resource.baseUrl": MISSING}, "resource.baseUrl"),
    "no header": ({"resource.header": MISSING}, "resource.header"),
    "no secret key": ({"resource.secretKey": MISSING}, "resource.secretKey"),
    "source location with a space": ({"resource.sourceLocation": "sports origin"}, "resource.sourceLocation"),
    "source location with a dot": ({"resource.sourceLocation": "sports.origin"}, "resource.sourceLocation"),
    "source location with a line break": ({"resource.sourceLocation": "sports\n"}, "resource.sourceLocation"),
    "empty source location": ({"resource.sourceLocation": ""}, "resource.sourceLocation"),
    "long source location": ({"resource.sourceLocation": "s" * 129}, "resource.sourceLocation"),
    "header x-amz-": ({"resource.header": "x-amz-token"}, "resource.header"),
    "header X-Amzn-": ({"resource.header": "X-Amzn-Token"}, "resource.header"),
    "header with a line break": ({"resource.header": "X-A\r\nX-B: 1"}, "resource.header"),
    "header ending with a line break": ({"resource.header": "X-Origin-Token\n"}, "resource.header"),
    "header with a colon": ({"resource.header": "X-Origin-Token:"}, "resource.header"),
    "empty header": ({"resource.header": ""}, "resource.header"),
    "long header": ({"resource.header": "h" * 257}, "resource.header"),
    "header beyond ASCII": ({"resource.header": "X-Tökén"}, "resource.header"),
    "secret key with a space": ({"resource.secretKey": "my key"}, "resource.secretKey"),
    "base URL of ftp": ({"resource.baseUrl": "ftp://origin.example.com"}, "resource.baseUrl"),
    "base URL of s3": ({"resource.baseUrl": "s3://bucket/vod"}, "resource.baseUrl"),
    "base URL without scheme": ({"resource.baseUrl": "origin.example.com/vod"}, "resource.baseUrl"),
    "base URL whose host ends at an escaped slash": (
        {"resource.baseUrl": "https://a.example%2f.example.com"},
        "resource.baseUrl",
    ),
    "base URL whose host ends at a semicolon": ({"resource.baseUrl": "https://a.example;.example.com"}, "resource.baseUrl"),
    "base URL without host": ({"resource.baseUrl": "https:///vod"}, "resource.baseUrl"),
    "empty base URL": ({"resource.baseUrl": ""}, "resource.baseUrl"),
    "base URL with port 0": ({"resource.baseUrl": "https://origin.example.com:0/"}, "resource.baseUrl"),
    "base URL with a port too high": ({"resource.baseUrl": "https://origin.example.com:65536/"}, "resource.baseUrl"),
    "base URL with half an address": ({"resource.baseUrl": "https://[2001:db8::1/"}, "resource.baseUrl"),
    "base URL with a password": ({"resource.baseUrl": "https://user:word@origin.example.com"}, "resource.baseUrl"),
    "base URL with a user": ({"resource.baseUrl": "https://user@origin.example.com"}, "resource.baseUrl"),
    "base URL with an empty user": ({"resource.baseUrl": "https://@origin.example.com"}, "resource.baseUrl"),
    "base URL with a query": ({"resource.baseUrl": "https://origin.example.com/?a=b"}, "resource.baseUrl"),
    "base URL with an empty query": ({"resource.baseUrl": "https://origin.example.com/?"}, "resource.baseUrl"),
    "base URL with a fragment": ({"resource.baseUrl": "https://origin.example.com/#a"}, "resource.baseUrl"),
    "base URL with a space": ({"resource.baseUrl": "https://origin.example.com/a b"}, "resource.baseUrl"),
    "base URL with a line break": ({"resource.baseUrl": "https://origin.example.com\n/"}, "resource.baseUrl"),
    "base URL with a backslash": ({"resource.baseUrl": "https://origin.example.com\\@a"}, "resource.baseUrl"),
    "base URL beyond ASCII": ({"resource.baseUrl": "https://örigin.example.com"}, "resource.baseUrl"),
    "long base URL": ({"resource.baseUrl": f"https://origin.example.com/{'v' * 2048}"}, "resource.baseUrl"),
    "base URL as number": ({"resource.baseUrl": 443}, "resource.baseUrl"),
    "token of 7": ({"secret.value.generate.length": 7}, "secret.value.generate.length"),
    "token of 129": ({"secret.value.generate.length": 129}, "secret.value.generate.length"),
    "length as text": ({"secret.value.generate.length": "40"}, "secret.value.generate.length"),
    "length as fraction": ({"secret.value.generate.length": 40.0}, "secret.value.generate.length"),
    "length as truth": ({"secret.value.generate.length": True}, "secret.value.generate.length"),
    "no way to a value": ({"secret.value": {}}, "secret.value"),
    "two ways to a value": ({"secret.value": {"generate": {}, "existing": {"secretArn": SECRET_ARN}}}, "secret.value"),
    "copy of nothing": ({"secret.value.copyFrom": {}}, "secret.value.copyFrom.secretArn"),
    "copy of a partial ARN": (
        {"secret.value.copyFrom.secretArn": f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:origin"},
        "secret.value.copyFrom.secretArn",
    ),
    "existing by name": ({"secret.value.existing.secretArn": "origin/shared"}, "secret.value.existing.secretArn"),
    "a key as existing secret": ({"secret.value.existing.secretArn": KEY_ARN}, "secret.value.existing.secretArn"),
    "existing secret with a name": (
        {"secret": {"name": "origin/shared", "value": {"existing": {"secretArn": EXISTING_ARN}}}},
        "secret",
    ),
    "secret name with a space": ({"secret.name": "latchkey/my token"}, "secret.name"),
    "secret name like the end of an ARN": ({"secret.name": "latchkey/origin-abc123"}, "secret.name"),
    "long secret name": ({"secret.name": "n" * 506}, "secret.name"),
    "reader of a user": ({"secret.originReaders": [user("alice")]}, "secret.originReaders.0"),
    "the second reader": ({"secret.originReaders": [role("A"), "B"]}, "secret.originReaders.1"),
    "everyone as reader": ({"secret.originReaders": ["*"]}, "secret.originReaders.0"),
    "too many readers": ({"secret.originReaders": [role("A")] * 51}, "secret.originReaders"),
    "replacement as text": ({"secret.replacesToken": "true"}, "secret.replacesToken"),
    "kept value as text": ({"secret.keepsValue": "true"}, "secret.keepsValue"),
    "kept value of an existing secret": (
        {"secret.value.existing": {"secretArn": SECRET_ARN}, "secret.keepsValue": True},
        "secret",
    ),
    "move of a key as text": ({"key.move": "true"}, "key.move"),
    "move as number": ({"secret.moveKey": 1}, "secret.moveKey"),
    "reserved alias": ({"key.alias": "alias/aws/secretsmanager"}, "key.alias"),
    "alias without its prefix": ({"key.alias": "latchkey"}, "key.alias"),
    "alias with a space": ({"key.alias": "alias/my key"}, "key.alias"),
    "long alias": ({"key.alias": "alias/" + "a" * 251}, "key.alias"),
    "key by alias ARN": ({"key.arn": f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/a"}, "key.arn"),
    "key by id": ({"key.arn": "1234abcd-12ab-34cd-56ef-1234567890ab"}, "key.arn"),
    "key by ARN and alias": ({"key": {"arn": KEY_ARN, "alias": "alias/a"}}, "key"),
    "key by ARN with users": ({"key": {"arn": KEY_ARN, "users": [role("A")]}}, "key"),
    "rotation of 89 days": ({"key.rotationDays": 89}, "key.rotationDays"),
    "rotation of 2561 days": ({"key.rotationDays": 2561}, "key.rotationDays"),
    "root as administrator": ({"key.administrators": [f"arn:aws:iam::{ACCOUNT}:root"]}, "key.administrators.0"),
    "service as user": ({"key.users": ["mediatailor.amazonaws.com"]}, "key.users.0"),
    "deletion as text": ({"key.allowDeletion": "no"}, "key.allowDeletion"),
    "user as management role": ({"managementRoles": [user("alice")]}, "managementRoles.0"),
    "a role alone without a list": ({"managementRoles": role("A")}, "managementRoles"),
    "too many management roles": ({"managementRoles": [role("A")] * 51}, "managementRoles"),
    "tag of Latchkey": ({"tags": {"latchkey:consent": "adopt"}}, "tags"),
    "tag of Latchkey in another case": ({"tags": {"LatchKey:consent": "adopt"}}, "tags"),
    "tag of AWS": ({"tags": {"aws:team": "a"}}, "tags"),
    "tag that sounds like a token": ({"tags": {"originPassword": "a"}}, "tags"),
    "tags that differ by case alone": ({"tags": {"Team": "a", "team": "b"}}, "tags"),
    "tag as number": ({"tags": {"year": 2026}}, "tags.year"),
    "long tag value": ({"tags": {"team": "v" * 257}}, "tags.team"),
    "too many tags": ({"tags": {f"tag{n}": "" for n in range(41)}}, "tags"),
}


@pytest.mark.parametrize(("changes", "path"), BAD.values(), ids=BAD)
def test_a_broken_rule_is_reported_at_its_path(changes: dict[str, Any], path: str) -> None:
    assert paths(detail(changes)) == [path]


@pytest.mark.parametrize("no_object", [None, "request", 7, [detail()]])
def test_a_detail_that_is_not_an_object_is_rejected(no_object: object) -> None:
    assert paths(no_object) == ["detail"]


def test_every_problem_is_reported_at_once() -> None:
    wrong = detail(
        {
            "version": "0",
            "colour": "red",
            "resource.sourceLocation": "sports origin",
            "resource.baseUrl": "ftp://origin.example.com",
            "resource.header": "x-amz-token",
            "resource.secretKey": MISSING,
            "key.alias": "alias/aws/kms",
            "managementRoles": ["nobody", role("Somebody"), "nobody else"],
            "tags": {"aws:team": "a"},
        }
    )
    assert paths(wrong) == [
        "colour",
        "key.alias",
        "managementRoles.0",
        "managementRoles.2",
        "resource.baseUrl",
        "resource.header",
        "resource.secretKey",
        "resource.sourceLocation",
        "tags",
        "version",
    ]


def test_an_invalid_length_is_reported_together_with_other_problems() -> None:
    wrong = detail({"secret.value.generate.length": 7, "key.alias": "alias/aws/kms"})
    rules = dict(problems(wrong))
    assert [*rules] == ["key.alias", "secret.value.generate.length"]
    assert {"8", "128"} <= set(rules["secret.value.generate.length"].split())


def test_an_unknown_system_does_not_hide_other_problems() -> None:
    wrong = detail({"system": "mediastore", "key.alias": "alias/aws/kms", "requestId": MISSING})
    assert paths(wrong) == ["key.alias", "requestId", "system"]


@pytest.mark.parametrize("member", ["token", "accessToken", "secretString", "password", "credentials", "apiKey", "api_key"])
@pytest.mark.parametrize("parent", ["", "resource.", "key.", "secret.value.generate."])
def test_a_member_that_sounds_like_a_token_warns_about_tokens(parent: str, member: str) -> None:
    [(_, rule)] = problems(detail({f"{parent}{member}": "anything"}))
    assert rule.endswith(NO_TOKEN_HERE)


@pytest.mark.parametrize(
    ("misspelled", "meant"),
    [
        ("secret.nmae", "name"),
        ("secret.value.generated", "generate"),
        ("secret.value.copyfrom", "copyFrom"),
        ("secret.value.generate.lenght", "length"),
        ("resource.secretKeys", "secretKey"),
    ],
)
def test_a_misspelled_member_in_the_secret_suggests_a_name_and_warns_about_tokens(misspelled: str, meant: str) -> None:
    [rule] = [rule for path, rule in problems(detail({misspelled: {}})) if path == misspelled]
    assert f" {meant}?" in rule
    assert rule.endswith(NO_TOKEN_HERE)


@pytest.mark.parametrize(
    ("misspelled", "meant"),
    [("managmentRoles", "managementRoles"), ("resource.baseurl", "baseUrl"), ("key.rotationDay", "rotationDays")],
)
def test_a_misspelled_member_suggests_a_name(misspelled: str, meant: str) -> None:
    [(path, rule)] = problems(detail({misspelled: []}))
    assert path == misspelled
    assert f" {meant}?" in rule
    assert NO_TOKEN_HERE not in rule


@pytest.mark.parametrize("value", ["anything", ["anything"], 7, None])
def test_a_secret_value_in_a_request_warns_about_tokens(value: object) -> None:
    [(path, rule)] = problems(detail({"secret.value": value}))
    assert path == "secret.value"
    assert rule.endswith(NO_TOKEN_HERE)


def test_a_secret_value_instead_of_the_secret_warns_about_tokens() -> None:
    [(path, rule)] = problems(detail({"secret": "anything"}))
    assert path == "secret"
    assert rule.endswith(NO_TOKEN_HERE)


def test_a_wrong_type_inside_the_value_is_reported_at_its_path() -> None:
    assert paths(detail({"secret.value.existing": {"secretArn": 5}})) == ["secret.value.existing.secretArn"]


@pytest.mark.parametrize(
    "changes",
    [
        {"request_id": "other"},
        {"management_roles": [role("A")]},
        {"key.allow_deletion": True},
        {"secret.origin_readers": [role("A")]},
        {"secret.replaces_token": True},
        {"resource.base_url": "https://elsewhere.example.com"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_member_in_snake_case_is_rejected(changes: dict[str, Any]) -> None:
    [member] = changes
    parent = member.rpartition(".")[0]
    assert paths(detail(changes)) in ([member], [f"{parent}.<name>".lstrip(".")])


DEEP = nested(100_000)


@pytest.mark.parametrize(
    ("member", "value", "path"),
    [
        ("notes", DEEP, "notes"),
        ("resource", DEEP, "resource"),
        ("secret", {"value": DEEP}, "secret.value"),
        ("tags", {"team": DEEP}, "tags.team"),
        ("managementRoles", [DEEP], "managementRoles.0"),
    ],
    ids=["unknown", "resource", "value", "tag", "role"],
)
def test_deep_nesting_is_reported_at_its_path(member: str, value: object, path: str) -> None:
    assert paths(detail() | {member: value}) == [path]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("path", ["secret.value.generate.length", "key.rotationDays"])
def test_a_number_outside_json_is_reported_at_its_path(path: str, number: float) -> None:
    assert paths(detail({path: number})) == [path]


@pytest.mark.parametrize("path", ["resource.sourceLocation", "resource.baseUrl", "requestId", "secret.name", "tags.team"])
def test_a_lone_surrogate_is_reported_at_its_path(path: str) -> None:
    assert paths(detail({path: "sports-\ud800"})) == [path]


@pytest.mark.parametrize(("parent", "path"), [("", "detail"), ("resource.", "resource"), ("secret.value.", "secret.value")])
def test_a_lone_surrogate_in_a_name_is_reported_at_its_parent(parent: str, path: str) -> None:
    assert paths(detail({f"{parent}\ud800": 1})) == [path]


@pytest.mark.parametrize("changes", [{}, FULL, {"key.arn": KEY_ARN}, {"secret.value.generate": {}}], ids=str)
def test_the_wire_form_equals_the_sent_request(changes: dict[str, Any]) -> None:
    sent = detail(changes)
    request = parse_onboarding(sent)
    assert request.wire == sent
    assert json.loads(json.dumps(request.wire)) == sent
    assert parse_onboarding(request.wire) == request


def test_a_parsed_request_passes_between_functions_unchanged() -> None:
    border: TypeAdapter[Any] = TypeAdapter(AnyOnboarding)
    request = parse_onboarding(detail(FULL))
    wire = border.dump_python(request, mode="json")
    assert border.validate_python(request) is request
    assert border.validate_python(wire) == request
    assert wire["key"]["allowDeletion"] is True
    assert "alias" not in wire["key"]


@pytest.mark.parametrize("prefix", ["generate", "existing", "copyFrom"])
def test_a_token_after_the_name_of_a_member_is_not_repeated(prefix: str) -> None:
    name = f"{prefix}hunter2"

    found = problems(detail({f"secret.value.{name}": {}}))

    assert "secret.value.<name>" in dict(found)
    assert name not in str(found)


def test_no_name_of_a_request_stays_in_memory() -> None:
    """A function serves many requests, and each can have other names of 100 KB."""
    caches = [function for function in vars(parsing).values() if hasattr(function, "cache_info")]
    problems(detail({"tags": {"é": 1}, "secret.value": {"é": 1}}))
    before = [function.cache_info().currsize for function in caches]

    problems(detail({"tags": {"ü": 1}, "secret.value": {"ü": 1}}))

    assert [function.cache_info().currsize for function in caches] == before


def test_the_recorded_request_does_not_move_the_secret_again() -> None:
    moving = parse_onboarding(detail({"key": {"alias": "alias/latchkey/other", "move": True}}))

    assert moving.recorded == detail({"key": {"alias": "alias/latchkey/other"}})


def test_an_error_of_pydantic_without_a_rule_is_not_shown_in_its_words() -> None:
    error = ErrorDetails(type="url_parsing", loc=("resource",), msg="Input should be a valid URL", input="x")

    assert parsing.rule_of(error) == "is not valid"
