"""`latchkey init` asks for what a request needs, and writes a file that the product accepts."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from latchkey.requests.parsing import parse_onboarding
from latchkey.systems import SYSTEMS
from latchkey_cli.main import main
from latchkey_cli.questions import questions, request_of, words
from tests.contract.sample_requests import ONBOARDINGS

ANSWERS = "sports origin\nsports-origin\nhttps://origin.example.com/vod\nX-Origin-Token\ntoken\n\n\n\n\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answered(monkeypatch: pytest.MonkeyPatch, text: str, *arguments: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return main(["init", *arguments])


def test_a_wrong_answer_is_asked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answered(monkeypatch, ANSWERS, "mediatailor") == 0

    out, err = capsys.readouterr()
    assert "latchkey onboard sports-origin.json --follow" in out
    assert err.count("Name of the source location") == 2
    assert "✗ contains characters other than letters" in err
    written = json.loads((folder / "sports-origin.json").read_text())
    assert parse_onboarding(written | {"requestId": "request-1"}).access_id == "mediatailor/sourceLocation/sports-origin"


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The members of a request as answers."""
    for name, member in value.items():
        inner = f"{path}{name}"
        if isinstance(member, dict) and member and inner != "tags":
            yield from flat(member, f"{inner}.")
        elif isinstance(member, dict):
            yield from ((f"{inner}.{key}", text) for key, text in member.items()) if member else iter([(inner, "{}")])
        elif isinstance(member, list):
            yield inner, ";".join(map(str, member))
        else:
            yield inner, str(member).lower() if isinstance(member, bool) else str(member)


SIMPLE = {name: detail for name, detail in ONBOARDINGS.items() if "partnerStatements" not in detail["resource"]}


@pytest.mark.parametrize("detail", SIMPLE.values(), ids=SIMPLE)
def test_every_sample_can_be_answered(detail: dict[str, Any]) -> None:
    answers = dict(flat({name: value for name, value in detail.items() if name != "system"}))

    assert parse_onboarding({"requestId": "r", **request_of(detail["system"], answers, {})}) == parse_onboarding(
        {"requestId": "r", **detail}
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_required_member_of_a_system_is_asked(system: str) -> None:
    asked = {one.path for one in questions(system)}
    required = [path for path in asked if path.startswith("resource.")]

    assert required
    assert all(one.text and (one.example or one.choices or not one.is_required) for one in questions(system))


def test_the_value_of_a_member_can_be_read_from_a_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = ONBOARDINGS["onboard-adobe-experience-platform"]
    (folder / "statements.json").write_text(json.dumps(detail["resource"]["partnerStatements"]))
    sets = ["--set", f"resource.instanceRegion={detail['resource']['instanceRegion']}"]
    sets += ["--set", "resource.partnerStatements=statements.json", "--yes", "--output", "key.json"]

    assert answered(monkeypatch, "", detail["system"], *sets) == 0, capsys.readouterr().err
    written = json.loads((folder / "key.json").read_text())
    assert written["resource"]["partnerStatements"] == detail["resource"]["partnerStatements"]


COMPLETE = [
    "resource.sourceLocation=one",
    "resource.baseUrl=https://a.example.com",
    "resource.header=X-A",
    "resource.secretKey=k",
]
WRONG: dict[str, tuple[list[str], str]] = {
    "unknown system": (["mediatailer"], "no system"),
    "answer without a value": (["mediatailor", "--set", "resource.header"], "has no value"),
    "wrong answer": (["mediatailor", "--set", "resource.header=X A"], "resource.header"),
    "unknown member": (["mediatailor", "--yes", *[a for one in COMPLETE for a in ("--set", one)], "--set", "keys=1"], "keys"),
    "no answer": (["mediatailor"], "Not every question"),
    "a file that exists": (["mediatailor", "--output", "exists.json"], "exists.json exists"),
}


@pytest.mark.parametrize(("arguments", "what"), WRONG.values(), ids=WRONG)
def test_nothing_is_written_if_something_is_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], what: str
) -> None:
    (folder / "exists.json").write_text("theirs")

    assert answered(monkeypatch, "", *arguments) == 2
    assert what in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["exists.json"]
    assert (folder / "exists.json").read_text() == "theirs"


class Interrupted(io.StringIO):
    """A person who presses Ctrl-C instead of answering."""

    def readline(self, _size: int | None = -1, /) -> str:  # type: ignore[override]
        raise KeyboardInterrupt


def test_ctrl_c_writes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", Interrupted())

    assert main(["init", "mediatailor"]) == 130
    assert capsys.readouterr().err.endswith("latchkey: Interrupted.\nNothing was written.\n")
    assert [*folder.iterdir()] == []


def test_names_of_members_become_words() -> None:
    assert (words("originEndpoint"), words("flowArn"), words("channel")) == ("Origin endpoint", "Flow ARN", "Channel")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_LATCHKEY_COMPLETE" in capsys.readouterr().out
