"""What the commands print about findings, grants, dead letters and audit records, at any width."""

import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latchkey.events.findings import Finding, FindingKind
from latchkey_cli.commands.audit import time_of
from latchkey_cli.commands.bulk import _show as show_lines
from latchkey_cli.commands.describe import by_whom, show_history
from latchkey_cli.commands.discover import _show as show_resources
from latchkey_cli.commands.findings import Found, _show, _show_grants
from latchkey_cli.commands.letters import letter_of
from latchkey_cli.following import Progress, Step, _shown
from latchkey_cli.problems import CliProblem
from latchkey_cli.screen import Screen, console
from tests.cli.screens import ReadScreen
from tests.contract.artifacts import ROOT

NOW = datetime.now(UTC)
ACCESS = "mediatailor/sourceLocation/sports-origin"
KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = "arn:aws:secretsmanager:us-east-1:111122223333:secret:latchkey/mediatailor/sports-origin/token-AbCdEf"
TOKEN = "s3cr3t-token-in-an-event"
each_width = pytest.mark.parametrize("width", [80, 160, None], ids=["80", "160", "pipe"])


def squeezed(screen: ReadScreen) -> str:
    return "".join(screen.text.split())


@each_width
def test_a_finding_has_its_evidence_its_cause_and_its_commands(width: int | None) -> None:
    command = f"aws kms enable-key --key-id {KEY}"
    finding = Finding(
        kind=FindingKind.KEY_DISABLED,
        severity="critical",
        name="key is enabled",
        evidence=f"{KEY} is Disabled",
        since=NOW - timedelta(hours=3),
        trailEventId="event-1",
        principal="arn:aws:iam::111122223333:role/Admin",
        remediation="tell",
        remedy=(command,),
    )
    screen = ReadScreen(width)
    _show(screen, Found(ACCESS, (finding,), NOW, ("grant is there",)))

    for text in (
        "critical",
        "key-disabled",
        "since 3 h",
        "role/Admin (event event-1)",
        command,
        "A person decides",
        "grant is there",
    ):
        assert "".join(text.split()) in squeezed(screen), text
    assert all(len(line) <= (width or 10_000) for line in screen.lines)


@each_width
def test_a_grant_has_its_class_its_access_and_its_key(width: int | None) -> None:
    grant = {"classed": "orphaned", "name": "MediaTailor-SourceLocation-1", "grantId": "g", "accessId": ACCESS, "keyArn": KEY}
    screen = ReadScreen(width)
    _show_grants(screen, [grant | {"secretArn": SECRET, "reason": "the source location does not exist"}])

    for text in ("orphaned", "MediaTailor-SourceLocation-1", ACCESS, KEY.rpartition("/")[2], "does not exist"):
        assert "".join(text.split()) in squeezed(screen), text


@each_width
def test_a_discovered_resource_says_whether_it_can_be_adopted(width: int | None) -> None:
    common = {"accessId": ACCESS, "secretArn": SECRET, "reader": "mediatailor.amazonaws.com", "obstacles": [], "consents": []}
    screen = ReadScreen(width)
    show_resources(
        screen,
        [
            common | {"request": {}},
            common | {"request": {}, "consents": [{}, {}]},
            common | {"request": None, "obstacles": [{"subject": "secret", "rule": "has no value"}]},
        ],
    )

    for text in ("possible", "after 2 consents", "not possible: has no value"):
        assert "".join(text.split()) in squeezed(screen), text


def test_a_failed_line_of_a_manifest_says_why() -> None:
    screen = ReadScreen(80)
    errors = [{"place": "resource.baseUrl", "rule": "is missing"}]
    failure = {"name": "Conflict", "message": "in use"}
    lines: list[dict[str, Any]] = [{"line": number, "outcome": "Request Rejected", "errors": errors} for number in range(25)]
    show_lines(screen, [{"line": 7, "outcome": "Request Failed", "accessId": ACCESS, "failure": failure}, *lines])

    assert "Conflict in use" in " ".join(screen.text.split())
    assert "resource.baseUrl is missing" in " ".join(screen.text.split())
    assert "and 6 more" in screen.text


def test_the_history_says_who_changed_what() -> None:
    by_trail = {"cloudTrailPrincipal": "arn:aws:iam::111122223333:role/Admin", "function": "report_clean_up"}
    record = {"at": "2026-11-28T03:00:00+00:00", "accessId": ACCESS, "action": "change-made", "subject": "30-secret"}
    status = record | {"action": "status-observed", "after": {"status": "revoked"}, "principal": by_trail}
    screen = ReadScreen()
    show_history(screen, [record, status], accesses=True)

    assert "change-made: secret" in screen.text
    assert "status-observed: revoked" in screen.text
    assert by_whom(status) == "arn:aws:iam::111122223333:role/Admin, report_clean_up"
    assert by_whom({"principal": {"senderAccount": "111122223333"}}) == "account 111122223333"
    assert by_whom({}) == "Latchkey"


@pytest.mark.parametrize(
    ("text", "ago"), [("30m", timedelta(minutes=30)), ("24h", timedelta(days=1)), ("7d", timedelta(days=7))]
)
def test_a_time_can_be_a_duration(text: str, ago: timedelta) -> None:
    assert time_of(text, NOW) == NOW - ago


def test_a_time_can_be_a_date() -> None:
    assert time_of("2026-11-28T03:00:00+00:00") == datetime(2026, 11, 28, 3, tzinfo=UTC)
    assert time_of("2026-11-28").tzinfo is not None


def test_anything_else_is_no_time() -> None:
    with pytest.raises(CliProblem, match="yesterday is no time"):
        time_of("yesterday")


EVENT = {"id": "event-1", "source": "latchkey.requests.sports", "detail-type": "Rotation Requested", "detail": {"token": TOKEN}}
LETTERS: dict[str, tuple[Any, str]] = {
    "an event": (EVENT, "send again"),
    "an event that was not received": ({"requestPayload": EVENT}, "send again"),
    "an event of somebody else": (EVENT | {"source": "aws.kms"}, "not possible"),
    "an event without a detail": (EVENT | {"detail": TOKEN}, "not possible"),
    "the end of an execution": ({"detail": {"executionArn": "arn:execution"}}, "delete"),
    "a schedule": ({"requestId": "scheduled"}, "delete"),
    "a list": ([TOKEN], "not possible"),
    "no object": ({"requestPayload": TOKEN}, "not possible"),
}


@pytest.mark.parametrize(("body", "redrive"), LETTERS.values(), ids=LETTERS)
def test_a_dead_letter_says_what_can_be_done_and_nothing_of_its_detail(body: Any, redrive: str) -> None:
    reason = {"ERROR_MESSAGE": {"StringValue": "x" * 1000}}
    message = {"MessageId": "m", "ReceiptHandle": "r", "Body": json.dumps(body), "MessageAttributes": reason}

    letter = letter_of(message)

    assert letter.wire["redrive"].startswith(redrive)
    assert TOKEN not in json.dumps(letter.wire, default=str)
    assert len(letter.reason) < 400


def test_text_in_the_dead_letters_is_no_request() -> None:
    assert letter_of({"MessageId": "m", "ReceiptHandle": "r", "Body": TOKEN}).wire["kind"] == "unknown message"


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_the_present_step_with_a_spinner_and_then_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    screen = Screen(out=console(terminal, 80), err=console(terminal, 80))
    progress = Progress(0.0, (Step("Create key", NOW),))
    assert screen.is_live

    with _shown(screen, progress) as refresh:
        refresh()
        progress.steps = (Step("Create key", NOW, NOW + timedelta(seconds=2)),)
        refresh()

    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "⠋ Create key" in drawn
    assert drawn.rstrip().endswith("✓ Create key 2.0 s")


def test_a_terminal_gets_no_colors_if_they_are_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    colors = []
    for unwanted in ("", "1"):
        monkeypatch.setenv("NO_COLOR", unwanted)
        terminal = Terminal()
        console(terminal, 80).print("critical", style="red")
        colors.append("\x1b[31m" in terminal.getvalue())

    assert colors == [True, False]


def test_the_command_line_reads_no_secret_value() -> None:
    sources = [path for path in ROOT.glob("cli/**/*.py") if "__pycache__" not in path.parts]

    assert sources
    assert [path.name for path in sources if re.search(r"get_secret_value\b", path.read_text())] == []
