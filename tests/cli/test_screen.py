"""Tables and words on terminals of any width, and in pipes."""

from datetime import UTC, datetime, timedelta

import pytest

from latchkey_cli.commands.status import Row, drawn
from latchkey_cli.screen import ago, console, duration, plural, short_arn, short_principal, table
from tests.cli.screens import ReadScreen

NOW = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = "arn:aws:secretsmanager:us-east-1:111122223333:secret:latchkey/mediatailor/sports-origin/token-AbCdEf"


def row(name: str, state: str | None = "active", **members: object) -> Row:
    known: dict[str, object] = {
        "access_id": f"mediatailor/sourceLocation/{name}",
        "system": "mediatailor",
        "state": state,
        "tenant": "default",
        "findings": (),
        "running": None,
        "recorded_at": NOW - timedelta(hours=2),
        "key_arn": KEY,
        "secret_arn": SECRET,
        "due": None,
        "due_for": "",
    }
    return Row(**(known | members))  # type: ignore[arg-type]


ROWS = [
    row("sports-origin", "revoked", findings=("key-disabled", "grant-missing")),
    row("a-source-location-with-a-name-that-has-almost-one-hundred-and-twenty-eight-characters-" + "x" * 40),
    row("new-origin", None, running="cli-4ba86e40-2455-4fc8-94af-3b0b6f8f3711", recorded_at=None),
    row("old-origin", "offboarded", due=NOW + timedelta(days=3), due_for="secret is deleted for good"),
]


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_a_table_fits_the_terminal_and_loses_nothing(width: int) -> None:
    screen = ReadScreen(width)
    screen.show(drawn(ROWS, width, now=NOW))

    assert max(map(len, screen.lines)) <= width
    squeezed = "".join(screen.text.split())
    assert "revoked" in squeezed
    assert "x" * 20 in squeezed


def test_a_line_in_a_pipe_is_whole_and_without_colors() -> None:
    screen = ReadScreen()
    screen.show(drawn(ROWS, screen.out.width, now=NOW))

    [line] = [line for line in screen.lines if "sports-origin " in line and "revoked" in line]
    assert "key-disabled, grant-missing" in line
    assert "key/1234abcd-12ab-34cd-56ef-1234567890ab" in line
    assert line == line.rstrip()
    assert "\x1b" not in screen.text


def test_the_summary_counts_what_costs() -> None:
    screen = ReadScreen()
    screen.show(drawn(ROWS, 160, hidden=2, now=NOW))

    assert screen.lines[-1] == "4 accesses; 1 key and 1 secret: about $1.40 per month; 2 gone or offboarded (--all)"


def test_what_ends_soon_is_said() -> None:
    screen = ReadScreen()
    screen.show(drawn(ROWS[-1:], 160, now=NOW))
    screen.show(drawn(ROWS[-1:], 80, now=NOW))

    assert "secret is deleted for good in 3 d" in screen.text
    assert "ends in 3 d" in screen.text


def test_tenants_are_shown_only_if_there_are_several() -> None:
    one, several = ReadScreen(), ReadScreen()
    one.show(drawn(ROWS, 160, now=NOW))
    several.show(drawn([*ROWS, row("news-origin", tenant="news")], 160, now=NOW))

    assert ("TENANT" in one.text, "TENANT" in several.text) == (False, True)


def test_no_access_is_said() -> None:
    screen = ReadScreen()
    screen.show(drawn([], 80, hidden=1))

    assert screen.text == "No access. 1 more with --all.\n"


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert console(ReadScreen().out.file).no_color


def test_the_width_of_a_pipe_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")

    assert console(ReadScreen().out.file).width == 100


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (200_000, "2 d"), (-7200, "in 2 h")]
)
def test_times_have_one_unit(seconds: int, text: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == text


def test_no_time_is_a_dash() -> None:
    assert ago(None) == "-"


def test_words_for_tables() -> None:
    assert (short_arn(KEY), short_arn(None)) == ("key/1234abcd-12ab-34cd-56ef-1234567890ab", "-")
    assert short_arn(SECRET) == "latchkey/mediatailor/sports-origin/token-AbCdEf"
    assert short_principal("arn:aws:iam::111122223333:role/Origin", "111122223333") == "role/Origin"
    assert short_principal("arn:aws:iam::444455556666:role/Origin", "111122223333").startswith("arn:")
    assert (plural(1, "access", "accesses"), plural(1200, "key")) == ("1 access", "1,200 keys")
    assert duration(3.4) == "3 s"


def test_a_column_that_can_be_folded_keeps_its_text() -> None:
    shown = table("name", "value", folded=("value",))
    shown.add_row("one", "v" * 100)
    screen = ReadScreen(40)
    screen.show(shown)

    assert screen.text.count("v") == 100
