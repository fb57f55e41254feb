"""What may be asked: every rule of a request that is decided without AWS, and every error of a request at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from latchkey.errors import InvalidRequest
from latchkey.requests.models import NO_TOKEN_HERE
from latchkey.requests.parsing import AnyOnboarding, parse_onboarding
from tests.unit.samples import ACCOUNT, EXISTING_ARN, FULL, KEY_ARN, MISSING, SECRET_ARN, detail, nested, role, user


def problems(detail: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        parse_onboarding(detail)
    return [(problem.path, problem.rule) for problem in caught.value.problems]


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


def test_a_full_request_is_taken_as_it_is_written() -> None:
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
def test_a_value_comes_in_one_of_three_ways(way: dict[str, Any], source: str | None) -> None:
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
    "replacement and move": {"secret.replacesToken": True, "secret.moveKey": True},
    "configure as the default": {"resource.configure": True},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_a_sound_request_is_accepted(changes: dict[str, Any]) -> None:
    assert parse_onboarding(detail(changes)).system == "mediatailor"


ONE_WAY = "must hold exactly one of generate, copyFrom, existing"
RESERVED_HEADER = "must not begin with x-amz- or x-amzn-, which MediaTailor refuses"
NOT_A_URL = "must be an http or https URL with a host"
NOT_A_HOST = "must name its host by letters, digits, dots, hyphens and underscores, or by an IP address"
PRINTABLE = "must hold printable ASCII only"
PATTERN = "must match the pattern ^"
TEXT, WHOLE, TRUTH = "must be text", "must be a whole number", "must be true or false"
LIKE_AN_ARN = "must not end with a hyphen and six characters"

BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no system": ({"system": MISSING}, "system", "is missing"),
    "unknown system": ({"system": "mediastore"}, "system", "must be one of mediatailor"),
    "system in another case": ({"system": "MediaTailor"}, "system", "must be one of mediatailor"),
    "system in a list": ({"system": ["mediatailor"]}, "system", "must be one of mediatailor"),
    "empty system": ({"system": ""}, "system", "must be one of mediatailor"),
    "no resource": ({"resource": MISSING}, "resource", "is missing"),
    "resource as text": ({"resource": "sports-origin"}, "resource", "must be an object"),
    "no request id": ({"requestId": MISSING}, "requestId", "is missing"),
    "request id as number": ({"requestId": 7}, "requestId", TEXT),
    "empty request id": ({"requestId": ""}, "requestId", PATTERN),
    "long request id": ({"requestId": "r" * 129}, "requestId", PATTERN),
    "request id with a slash": ({"requestId": "a/b"}, "requestId", PATTERN),
    "version as number": ({"version": 1}, "version", "must be '1'"),
    "future version": ({"version": "2"}, "version", "must be '1'"),
    "unknown mode": ({"mode": "destroy"}, "mode", "must be 'apply'"),
    "unknown member": ({"colour": "red"}, "colour", "is not a member here"),
    "misspelt member": ({"managmentRoles": []}, "managmentRoles", "is not a member here; did you mean managementRoles?"),
    "misspelt member of the resource": ({"resource.baseurl": ""}, "resource.baseurl", "did you mean baseUrl?"),
    "misspelt member of the key": ({"key.rotationDay": 90}, "key.rotationDay", "did you mean rotationDays?"),
    "no source location": ({"resource.sourceLocation": MISSING}, "resource.sourceLocation", "is missing"),
    "no base URL": ({"resource.baseUrl": MISSING}, "resource.baseUrl", "is missing"),
    "no header": ({"resource.header": MISSING}, "resource.header", "is missing"),
    "no secret key": ({"resource.secretKey": MISSING}, "resource.secretKey", "is missing"),
    "source location with a space": ({"resource.sourceLocation": "sports origin"}, "resource.sourceLocation", "pattern"),
    "source location with a dot": ({"resource.sourceLocation": "sports.origin"}, "resource.sourceLocation", "pattern"),
    "source location with a line break": ({"resource.sourceLocation": "sports\n"}, "resource.sourceLocation", "pattern"),
    "empty source location": ({"resource.sourceLocation": ""}, "resource.sourceLocation", "pattern"),
    "long source location": ({"resource.sourceLocation": "s" * 129}, "resource.sourceLocation", "pattern"),
    "header x-amz-": ({"resource.header": "x-amz-token"}, "resource.header", RESERVED_HEADER),
    "header X-Amzn-": ({"resource.header": "X-Amzn-Token"}, "resource.header", RESERVED_HEADER),
    "header with a line break": ({"resource.header": "X-A\r\nX-B: 1"}, "resource.header", PATTERN),
    "header ending with a line break": ({"resource.header": "X-Origin-Token\n"}, "resource.header", PATTERN),
    "header with a colon": ({"resource.header": "X-Origin-Token:"}, "resource.header", PATTERN),
    "empty header": ({"resource.header": ""}, "resource.header", PATTERN),
    "long header": ({"resource.header": "h" * 257}, "resource.header", PATTERN),
    "header beyond ASCII": ({"resource.header": "X-Tökén"}, "resource.header", PATTERN),
    "secret key with a space": ({"resource.secretKey": "my key"}, "resource.secretKey", PATTERN),
    "base URL of ftp": ({"resource.baseUrl": "ftp://origin.example.com"}, "resource.baseUrl", NOT_A_URL),
    "base URL of s3": ({"resource.baseUrl": "s3://bucket/vod"}, "resource.baseUrl", NOT_A_URL),
    "base URL without scheme": ({"resource.baseUrl": "origin.example.com/vod"}, "resource.baseUrl", NOT_A_URL),
    "base URL whose host ends at an escaped slash": (
        {"resource.baseUrl": "https://a.example%2f.example.com"},
        "resource.baseUrl",
        NOT_A_HOST,
    ),
    "base URL whose host ends at a semicolon": (
        {"resource.baseUrl": "https://a.example;.example.com"},
        "resource.baseUrl",
        NOT_A_HOST,
    ),
    "base URL without host": ({"resource.baseUrl": "https:///vod"}, "resource.baseUrl", NOT_A_URL),
    "empty base URL": ({"resource.baseUrl": ""}, "resource.baseUrl", PRINTABLE),
    "base URL with port 0": ({"resource.baseUrl": "https://origin.example.com:0/"}, "resource.baseUrl", NOT_A_URL),
    "base URL with a port too high": ({"resource.baseUrl": "https://origin.example.com:65536/"}, "resource.baseUrl", "a URL"),
    "base URL with half an address": ({"resource.baseUrl": "https://[2001:db8::1/"}, "resource.baseUrl", "must be a URL"),
    "base URL with a password": (
        {"resource.baseUrl": "https://user:word@origin.example.com"},
        "resource.baseUrl",
        "must not hold a user or password",
    ),
    "base URL with a user": ({"resource.baseUrl": "https://user@origin.example.com"}, "resource.baseUrl", "user or password"),
    "base URL with an empty user": (
        {"resource.baseUrl": "https://@origin.example.com"},
        "resource.baseUrl",
        "user or password",
    ),
    "base URL with a query": ({"resource.baseUrl": "https://origin.example.com/?a=b"}, "resource.baseUrl", "query or fragment"),
    "base URL with an empty query": ({"resource.baseUrl": "https://origin.example.com/?"}, "resource.baseUrl", "query or"),
    "base URL with a fragment": (
        {"resource.baseUrl": "https://origin.example.com/#a"},
        "resource.baseUrl",
        "query or fragment",
    ),
    "base URL with a space": ({"resource.baseUrl": "https://origin.example.com/a b"}, "resource.baseUrl", PRINTABLE),
    "base URL with a line break": ({"resource.baseUrl": "https://origin.example.com\n/"}, "resource.baseUrl", PRINTABLE),
    "base URL with a backslash": ({"resource.baseUrl": "https://origin.example.com\\@a"}, "resource.baseUrl", PRINTABLE),
    "base URL beyond ASCII": ({"resource.baseUrl": "https://örigin.example.com"}, "resource.baseUrl", PRINTABLE),
    "long base URL": ({"resource.baseUrl": f"https://origin.example.com/{'v' * 2048}"}, "resource.baseUrl", "at most 2048"),
    "base URL as number": ({"resource.baseUrl": 443}, "resource.baseUrl", TEXT),
    "token of 7": ({"secret.value.generate.length": 7}, "secret.value.generate.length", "must be between 8 and 128"),
    "token of 129": ({"secret.value.generate.length": 129}, "secret.value.generate.length", "must be between 8 and 128"),
    "length as text": ({"secret.value.generate.length": "40"}, "secret.value.generate.length", WHOLE),
    "length as fraction": ({"secret.value.generate.length": 40.0}, "secret.value.generate.length", WHOLE),
    "length as truth": ({"secret.value.generate.length": True}, "secret.value.generate.length", WHOLE),
    "no way to a value": ({"secret.value": {}}, "secret.value", ONE_WAY),
    "two ways to a value": ({"secret.value": {"generate": {}, "existing": {"secretArn": SECRET_ARN}}}, "secret.value", ONE_WAY),
    "copy of nothing": ({"secret.value.copyFrom": {}}, "secret.value.copyFrom.secretArn", "is missing"),
    "copy of a partial ARN": (
        {"secret.value.copyFrom.secretArn": f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:origin"},
        "secret.value.copyFrom.secretArn",
        PATTERN,
    ),
    "existing by name": (
        {"secret.value.existing.secretArn": "origin/shared"},
        "secret.value.existing.secretArn",
        PATTERN,
    ),
    "a key as existing secret": (
        {"secret.value.existing.secretArn": KEY_ARN},
        "secret.value.existing.secretArn",
        PATTERN,
    ),
    "existing secret with a name": (
        {"secret": {"name": "origin/shared", "value": {"existing": {"secretArn": EXISTING_ARN}}}},
        "secret",
        "an existing secret keeps its name: leave out name",
    ),
    "secret name with a space": ({"secret.name": "latchkey/my token"}, "secret.name", PATTERN),
    "secret name like the end of an ARN": ({"secret.name": "latchkey/origin-abc123"}, "secret.name", LIKE_AN_ARN),
    "long secret name": ({"secret.name": "n" * 506}, "secret.name", PATTERN),
    "reader of a user": ({"secret.originReaders": [user("alice")]}, "secret.originReaders.0", PATTERN),
    "the second reader": ({"secret.originReaders": [role("A"), "B"]}, "secret.originReaders.1", PATTERN),
    "everyone as reader": ({"secret.originReaders": ["*"]}, "secret.originReaders.0", PATTERN),
    "too many readers": ({"secret.originReaders": [role("A")] * 51}, "secret.originReaders", "at most 50"),
    "replacement as text": ({"secret.replacesToken": "true"}, "secret.replacesToken", TRUTH),
    "move as number": ({"secret.moveKey": 1}, "secret.moveKey", TRUTH),
    "reserved alias": ({"key.alias": "alias/aws/secretsmanager"}, "key.alias", "must not begin with alias/aws/"),
    "alias without its prefix": ({"key.alias": "latchkey"}, "key.alias", PATTERN),
    "alias with a space": ({"key.alias": "alias/my key"}, "key.alias", PATTERN),
    "long alias": ({"key.alias": "alias/" + "a" * 251}, "key.alias", PATTERN),
    "key by alias ARN": ({"key.arn": f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/a"}, "key.arn", PATTERN),
    "key by id": ({"key.arn": "1234abcd-12ab-34cd-56ef-1234567890ab"}, "key.arn", PATTERN),
    "key by ARN and alias": ({"key": {"arn": KEY_ARN, "alias": "alias/a"}}, "key", "give nothing beside arn"),
    "key by ARN with users": ({"key": {"arn": KEY_ARN, "users": [role("A")]}}, "key", "give nothing beside arn"),
    "rotation of 89 days": ({"key.rotationDays": 89}, "key.rotationDays", "at least 90"),
    "rotation of 2561 days": ({"key.rotationDays": 2561}, "key.rotationDays", "at most 2560"),
    "root as administrator": (
        {"key.administrators": [f"arn:aws:iam::{ACCOUNT}:root"]},
        "key.administrators.0",
        PATTERN,
    ),
    "service as user": ({"key.users": ["mediatailor.amazonaws.com"]}, "key.users.0", PATTERN),
    "deletion as text": ({"key.allowDeletion": "no"}, "key.allowDeletion", TRUTH),
    "user as management role": ({"managementRoles": [user("alice")]}, "managementRoles.0", PATTERN),
    "a role alone without a list": ({"managementRoles": role("A")}, "managementRoles", "must be a list"),
    "too many management roles": ({"managementRoles": [role("A")] * 51}, "managementRoles", "at most 50"),
    "tag of Latchkey": ({"tags": {"latchkey:consent": "adopt"}}, "tags", "must not begin with latchkey: or aws:"),
    "tag of Latchkey in another case": ({"tags": {"LatchKey:consent": "adopt"}}, "tags", "latchkey: or aws:"),
    "tag of AWS": ({"tags": {"aws:team": "a"}}, "tags", "must not begin with latchkey: or aws:"),
    "tag that sounds like a token": ({"tags": {"originPassword": "a"}}, "tags", NO_TOKEN_HERE),
    "tags that differ by case alone": ({"tags": {"Team": "a", "team": "b"}}, "tags", "keys must differ by more than case"),
    "tag as number": ({"tags": {"year": 2026}}, "tags.year", TEXT),
    "long tag value": ({"tags": {"team": "v" * 257}}, "tags.team", PATTERN),
    "too many tags": ({"tags": {f"tag{n}": "" for n in range(41)}}, "tags", "at most 40"),
}


@pytest.mark.parametrize(("changes", "place", "rule"), BAD.values(), ids=BAD)
def test_a_broken_rule_is_told_with_its_place(changes: dict[str, Any], place: str, rule: str) -> None:
    [(told_place, told_rule)] = problems(detail(changes))
    assert told_place == place
    assert rule in told_rule


@pytest.mark.parametrize("no_object", [None, "request", 7, [detail()]])
def test_a_detail_that_is_no_object_is_rejected(no_object: object) -> None:
    assert problems(no_object) == [("detail", "must be a JSON object")]


def test_every_error_of_a_request_is_told_at_once() -> None:
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
    assert [place for place, _ in problems(wrong)] == [
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


def test_a_length_that_the_resource_does_not_allow_is_told_beside_other_errors() -> None:
    wrong = detail({"secret.value.generate.length": 7, "key.alias": "alias/aws/kms"})
    places = dict(problems(wrong))
    assert places["secret.value.generate.length"] == "must be between 8 and 128"
    assert "key.alias" in places


def test_an_unknown_system_does_not_hide_the_other_errors() -> None:
    wrong = detail({"system": "mediastore", "key.alias": "alias/aws/kms", "requestId": MISSING})
    assert [place for place, _ in problems(wrong)] == ["key.alias", "requestId", "system"]


@pytest.mark.parametrize("member", ["token", "accessToken", "secretString", "password", "credentials", "apiKey", "api_key"])
@pytest.mark.parametrize("parent", ["", "resource.", "key.", "secret.value.generate."])
def test_a_member_that_sounds_like_a_token_is_told_to_be_replaced(parent: str, member: str) -> None:
    [(_, rule)] = problems(detail({f"{parent}{member}": "anything"}))
    assert rule.startswith("is not a member here")
    assert rule.endswith(NO_TOKEN_HERE)
    assert "must be replaced" in rule


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("secret.nmae", "name"),
        ("secret.value.generated", "generate"),
        ("secret.value.copyfrom", "copyFrom"),
        ("secret.value.generate.lenght", "length"),
        ("resource.secretKeys", "secretKey"),
    ],
)
def test_a_misspelt_member_where_a_token_may_stand_is_told_its_spelling_too(misspelt: str, meant: str) -> None:
    [rule] = [rule for place, rule in problems(detail({misspelt: {}})) if place == misspelt]
    assert f"did you mean {meant}?" in rule
    assert rule.endswith(NO_TOKEN_HERE)


@pytest.mark.parametrize("value", ["anything", ["anything"], 7, None])
def test_a_value_put_into_the_request_is_told_to_be_replaced(value: object) -> None:
    [(place, rule)] = problems(detail({"secret.value": value}))
    assert place == "secret.value"
    assert "must be an object" in rule
    assert rule.endswith(NO_TOKEN_HERE)


def test_a_value_put_in_the_place_of_the_secret_is_told_to_be_replaced() -> None:
    [(place, rule)] = problems(detail({"secret": "anything"}))
    assert place == "secret"
    assert "must be replaced" in rule


def test_a_wrong_type_inside_the_value_is_told_where_it_is() -> None:
    [(place, _)] = problems(detail({"secret.value.existing": {"secretArn": 5}}))
    assert place == "secret.value.existing.secretArn"


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
def test_a_member_in_snake_case_is_unknown_and_not_silently_dropped(changes: dict[str, Any]) -> None:
    [(_, rule)] = problems(detail(changes))
    assert "is not a member here" in rule


DEEP = nested(100_000)


@pytest.mark.parametrize(
    ("member", "value", "place"),
    [
        ("notes", DEEP, "notes"),
        ("resource", DEEP, "resource"),
        ("secret", {"value": DEEP}, "secret.value"),
        ("tags", {"team": DEEP}, "tags.team"),
        ("managementRoles", [DEEP], "managementRoles.0"),
    ],
    ids=["unknown", "resource", "value", "tag", "role"],
)
def test_what_is_nested_too_deeply_is_told_in_its_place(member: str, value: object, place: str) -> None:
    assert [told for told, _ in problems(detail() | {member: value})] == [place]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", ["secret.value.generate.length", "key.rotationDays"])
def test_a_number_that_json_has_not_is_told_in_its_place(place: str, number: float) -> None:
    assert problems(detail({place: number})) == [(place, WHOLE)]


@pytest.mark.parametrize("place", ["resource.sourceLocation", "resource.baseUrl", "requestId", "secret.name", "tags.team"])
def test_half_a_character_is_told_in_its_place(place: str) -> None:
    assert [told for told, _ in problems(detail({place: "sports-\ud800"}))] == [place]


@pytest.mark.parametrize(("parent", "told"), [("", "detail"), ("resource.", "resource"), ("secret.value.", "secret.value")])
def test_half_a_character_in_a_name_is_told_where_the_name_stands(parent: str, told: str) -> None:
    assert [place for place, _ in problems(detail({f"{parent}\ud800": 1}))] == [told]


@pytest.mark.parametrize("changes", [{}, FULL, {"key.arn": KEY_ARN}, {"secret.value.generate": {}}], ids=str)
def test_the_wire_form_of_a_request_is_what_was_sent(changes: dict[str, Any]) -> None:
    sent = detail(changes)
    request = parse_onboarding(sent)
    assert request.wire == sent
    assert json.loads(json.dumps(request.wire)) == sent
    assert parse_onboarding(request.wire) == request


def test_a_request_parsed_before_passes_between_functions_unchanged() -> None:
    border: TypeAdapter[Any] = TypeAdapter(AnyOnboarding)
    request = parse_onboarding(detail(FULL))
    wire = border.dump_python(request, mode="json")
    assert border.validate_python(request) is request
    assert border.validate_python(wire) == request
    assert wire["key"]["allowDeletion"] is True
    assert "alias" not in wire["key"]
