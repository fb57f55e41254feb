"""What a command prints: tables and words for people, JSON for programs. Progress and problems go to the standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

# In a pipe, nothing is wrapped or cut, so that `grep` finds whole lines.
_UNBOUNDED = 10_000
_LONGEST_NAME = 12
# From this width on, tables have columns with ARNs.
WIDE = 120
GOOD, BAD, CAUTION, QUIET, STRONG = "green", "bold red", "yellow", "dim", "bold"


# Names and tags of AWS can contain anything: none of it moves the cursor of a terminal or changes its colors.
_CONTROLS = {code: "�" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t\r"}


class _SafeConsole(Console):
    """A console that replaces the control characters in what it prints. Its own, for colors, are added after that."""

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            Segment(one.text if one.control else one.text.translate(_CONTROLS), one.style, one.control) for one in buffer
        )


def console(stream: Any, width: int | None = None) -> Console:
    """A console that writes texts as they are: no markup and no highlighting. It respects NO_COLOR and COLUMNS."""
    wide = width or (None if stream.isatty() or os.environ.get("COLUMNS") else _UNBOUNDED)
    return _SafeConsole(file=stream, width=wide, markup=False, highlight=False, emoji=False, soft_wrap=False)


class Screen:
    """The standard output of a command, and its standard error."""

    def __init__(self, *, as_json: bool = False, out: Console | None = None, err: Console | None = None) -> None:
        self.as_json = as_json
        self.out = out or console(sys.stdout)
        self.err = err or console(sys.stderr)

    @property
    def is_live(self) -> bool:
        """Whether progress can be drawn: somebody looks at a terminal that can move its cursor."""
        return self.err.is_terminal and not self.err.is_dumb_terminal

    def json(self, value: object) -> None:
        """Prints a JSON document."""
        self.out.file.write(f"{json.dumps(value, indent=2, default=_plain, ensure_ascii=False)}\n")

    def say(self, *parts: str | tuple[str, str], indent: int = 0) -> None:
        """Prints a line. A part with a style is a pair of text and style. What does not fit is wrapped under the indent."""
        text = Text.assemble(*parts)
        if indent:
            grid = Table.grid(padding=0)
            grid.add_column(width=indent)
            grid.add_column(overflow="fold")
            grid.add_row("", text)
            self.show(grid)
        else:
            self.show(text)

    def note(self, *parts: str | tuple[str, str]) -> None:
        """Prints a line about the progress."""
        self.err.print(Text.assemble(*parts), overflow="fold")

    def show(self, renderable: RenderableType) -> None:
        """Prints something. In a pipe, lines do not end in the spaces that fill a column of a terminal."""
        if self.out.is_terminal:
            self.out.print(renderable, overflow="fold")
            return
        with self.out.capture() as captured:
            self.out.print(renderable, overflow="fold")
        self.out.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())

    @contextmanager
    def waiting(self, title: str) -> Iterator[None]:
        """Shows a spinner on a terminal while one long call is made."""
        if not self.is_live:
            yield
            return
        with self.err.status(title):
            yield

    @contextmanager
    def progress(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """Shows a bar on a terminal while many reads are made. It is advanced with how many are done, and of how many."""
        if not self.is_live:
            yield _unseen
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.err, transient=True) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, of: bar.update(task, completed=done, total=of)

    def problem(self, what: str, remedy: str) -> None:
        """Prints what is wrong, and what to do."""
        self.err.print(Text.assemble(("latchkey: ", BAD), what), overflow="fold")
        self.err.print(Text(remedy), overflow="fold")


def _unseen(_done: int, _of: int) -> None:
    """Shows nothing, where nobody looks."""


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def table(*columns: str, folded: Sequence[str] = (), right: Sequence[str] = ()) -> Table:
    """An empty table without lines. The columns `folded` continue on the next line if they do not fit, so nothing is lost."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=STRONG, show_edge=False)
    for name in columns:
        made.add_column(
            name.upper(),
            overflow="fold",
            no_wrap=name not in folded,
            justify="right" if name in right else "left",
            min_width=len(name),
        )
    return made


def facts(pairs: Iterable[tuple[str, RenderableType | None]]) -> Table:
    """Names with their values, one a line. What is None is left out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style=QUIET, no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            grid.add_row(name, Text(value) if isinstance(value, str) else value)
    return grid


def indented(renderable: RenderableType, by: int = 2) -> Table:
    """Something moved to the right."""
    grid = Table.grid(padding=0)
    grid.add_column(width=by)
    grid.add_column(overflow="fold")
    grid.add_row("", renderable)
    return grid


def marked(mark: str, style: str, name: str, text: RenderableType) -> Table:
    """A line with a mark and a name before its text."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=1, style=style)
    grid.add_column(width=_LONGEST_NAME)
    grid.add_column(overflow="fold")
    grid.add_row(mark, name, text)
    return grid


def short_arn(arn: str | None) -> str:
    """The resource in an ARN, for tables: `key/1234…`, the name of a secret."""
    return arn.split(":", 5)[-1].removeprefix("secret:") if arn and arn.startswith("arn:") else arn or "-"


def short_principal(name: str, account: str) -> str:
    """A principal for tables: roles and users of the account without the beginning of their ARNs."""
    found = re.fullmatch(rf"arn:[a-z-]+:iam::{account}:((?:role|user)/.+)", name)
    return found[1] if found else name


def ago(at: datetime | None, now: datetime | None = None) -> str:
    """How long ago something was, or in how long it will be, in one unit: `3 min`, `in 12 d`."""
    if at is None:
        return "-"
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    text = duration(abs(seconds))
    return text if seconds >= 0 else f"in {text}"


def duration(seconds: float) -> str:
    """A duration in its largest unit."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s"


def plural(count: int, one: str, several: str | None = None) -> str:
    """A number with its noun."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


# The color of each state, so that what needs attention is seen first.
_STATES: Mapping[str, str] = {
    "active": GOOD,
    "handed-off": CAUTION,
    "rotating": CAUTION,
    "moving": CAUTION,
    "offboarding": CAUTION,
    "unmanaged": CAUTION,
    "revoked": BAD,
    "detached": BAD,
    "gone": QUIET,
    "offboarded": QUIET,
}
_SEVERITIES: Mapping[str, str] = {"critical": BAD, "high": "red", "medium": CAUTION, "low": QUIET}


def state_text(state: str | None) -> Text:
    return Text(state or "never onboarded", style=_STATES.get(state or "", QUIET))


def severity_text(severity: str) -> Text:
    return Text(severity, style=_SEVERITIES.get(severity, ""))
