"""A request file is checked before it is sent: with the path, the rule, and what was meant."""

import json
from pathlib import Path
from typing import Any

import pytest

from latchkey.requests.lifecycle import BULK_ONBOARDING_REQUESTED, OFFBOARDING_REQUESTED
from latchkey.requests.models import HANDOFF_CONFIRMED, ONBOARDING_REQUESTED
from latchkey_cli.problems import REJECTED, CliProblem
from latchkey_cli.request_files import InvalidFile, checked, looks_like_a_file, read_request
from tests.contract.artifacts import ROOT

SAMPLES = sorted(ROOT.glob("events/requests/*.json"))
DETAIL: dict[str, Any] = {
    "system": "mediatailor",
    "resource": {"sourceLocation": "one", "baseUrl": "https://origin.example.com", "header": "X-Token", "secretKey": "token"},
}
TOKEN = "s3cr3t-token-that-was-put-into-the-request"


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "request.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_every_sample_is_a_request_file(path: Path) -> None:
    found = read_request(path)

    assert checked(path.name, found.kind or ONBOARDING_REQUESTED, found.detail)["requestId"]


def test_a_file_with_the_detail_alone_has_no_kind_and_can_name_its_schema(tmp_path: Path) -> None:
    found = read_request(written(tmp_path, json.dumps({"$schema": "onboard-mediatailor.json"} | DETAIL)))

    assert (found.kind, found.detail) == (None, DETAIL)
    assert checked("request.json", ONBOARDING_REQUESTED, found.detail)["requestId"].startswith("cli-")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('{"system": "mediatailor",\n}', "line 1, column 25"),
        ("[]", "0 entries"),
        ("7", "no JSON object"),
        (b"\xff\xfe\x00", "UTF-8"),
        ("[" * 100_000, "nested"),
        ('[{"DetailType": "Onboarding Requested", "Detail": "{"}]', "Detail"),
        ('{"DetailType": "Onboarding Reqested", "Detail": "{}"}', "no kind of request"),
        (" " * 2_000_000, "too large"),
    ],
    ids=["syntax", "no entry", "no object", "encoding", "nesting", "broken detail", "unknown kind", "size"],
)
def test_a_malformed_file_says_where_and_what_to_do(tmp_path: Path, content: str | bytes, what: str) -> None:
    with pytest.raises(CliProblem) as raised:
        read_request(written(tmp_path, content))

    assert what in raised.value.what
    assert raised.value.remedy
    assert raised.value.status == REJECTED


def problems(kind: str, detail: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidFile) as raised:
        checked("request.json", kind, detail)
    return {one.path: one.rule for one in raised.value.problems}


def test_a_typo_gets_a_suggestion() -> None:
    resource = {("baseURL" if name == "baseUrl" else name): value for name, value in DETAIL["resource"].items()}

    assert "did you mean baseUrl?" in problems(ONBOARDING_REQUESTED, DETAIL | {"resource": resource})["resource.baseURL"]


def test_every_problem_is_reported_at_once() -> None:
    found = problems(ONBOARDING_REQUESTED, {"system": "mediatailor", "resource": {}, "key": {"rotationDays": "365"}})

    assert {"key.rotationDays", "resource.baseUrl", "resource.header"} <= {*found}


@pytest.mark.parametrize(
    ("kind", "detail", "path"),
    [
        (OFFBOARDING_REQUESTED, {"accessId": "mediatailor/sourceLocation/one", "recoveryDays": 3}, "recoveryDays"),
        (HANDOFF_CONFIRMED, {}, "accessId"),
        (BULK_ONBOARDING_REQUESTED, {"manifest": {"key": "channels.jsonl", "versionID": "1"}}, "manifest.versionID"),
    ],
)
def test_other_kinds_are_checked_too(kind: str, detail: dict[str, Any], path: str) -> None:
    assert path in problems(kind, detail)


def test_a_token_in_a_file_is_never_repeated() -> None:
    found = problems(ONBOARDING_REQUESTED, DETAIL | {"secret": {"value": TOKEN}, "token": TOKEN, TOKEN: 1})

    assert TOKEN not in json.dumps(found)


@pytest.mark.parametrize(
    ("given", "is_file"), [("sports.json", True), ("mediatailor/sourceLocation/one", False), ("requests/one.json", True)]
)
def test_a_name_is_that_of_a_file_or_of_an_access(given: str, is_file: bool) -> None:
    assert looks_like_a_file(given) is is_file
