"""`latchkey status`: the accesses and what is going on with each, once or continuously."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from latchkey.access.lifecycle import STATES
from latchkey.access.prices import monthly_cost
from latchkey.registry.accesses import KnownAccess
from latchkey.tags import DEFAULT_TENANT
from latchkey_cli.command import Run, command
from latchkey_cli.connection import Connection
from latchkey_cli.problems import REJECTED, CliProblem
from latchkey_cli.screen import BAD, CAUTION, QUIET, WIDE, ago, plural, short_arn, state_text, table

_PAUSE = 2.0
_STATES = sorted(state for state in STATES if state)
# Key and secret are shown where they fit on the line: on very wide terminals, and in pipes.
_WITH_ARNS = 220
_ENDED = ("gone", "offboarded")


@dataclass(frozen=True)
class Row:
    """An access as the table shows it. `due` is when something of it ends: a rotation, or the recovery of its secret."""

    access_id: str
    system: str
    state: str | None
    tenant: str
    findings: tuple[str, ...]
    running: str | None
    recorded_at: datetime | None
    key_arn: str | None
    secret_arn: str | None
    due: datetime | None
    due_for: str

    @property
    def wire(self) -> dict[str, Any]:
        return {
            "accessId": self.access_id,
            "system": self.system,
            "state": self.state,
            "tenant": self.tenant,
            "findings": list(self.findings),
            "runningRequest": self.running,
            "recordedAt": self.recorded_at,
            "keyArn": self.key_arn,
            "secretArn": self.secret_arn,
            "due": self.due,
            "dueFor": self.due_for or None,
        }


def row_of(known: KnownAccess, findings: Sequence[str]) -> Row:
    """The row of an access. `findings` are the kinds that the last reconciliation found."""
    record = known.record
    due, due_for = _due(known)
    return Row(
        access_id=known.access_id,
        system=known.access_id.partition("/")[0],
        state=known.state,
        tenant=record.tenant if record else DEFAULT_TENANT,
        findings=tuple(findings) or known.findings,
        running=(known.lock.request.request_id if known.lock.request else "unknown") if known.lock else None,
        recorded_at=known.recorded_at,
        key_arn=record.key_arn if record else None,
        secret_arn=record.secret_arn if record else None,
        due=due,
        due_for=due_for,
    )


def _due(known: KnownAccess) -> tuple[datetime | None, str]:
    if known.phase is not None and known.phase.name == "rotating" and known.phase.facts.get("until"):
        return datetime.fromisoformat(str(known.phase.facts["until"])), "pending rotation is withdrawn"
    if known.offboarded is not None and known.offboarded.secret_ends:
        return known.offboarded.secret_ends, "secret is deleted for good"
    if known.offboarded is not None and known.offboarded.key_arn:
        return None, "key is deleted after its secret"
    return None, ""


def rows(connection: Connection) -> list[Row]:
    """All accesses for which a request was ever accepted, those that need attention first."""
    found = {one.access_id: tuple(finding.kind.value for finding in one.findings) for one in connection.registry.findings.all()}
    made = [row_of(known, found.get(known.access_id, ())) for known in connection.registry.accesses.all()]
    return sorted(made, key=lambda row: (_urgency(row), row.access_id))


def _urgency(row: Row) -> int:
    if row.state in ("revoked", "detached"):
        return 0
    if row.findings:
        return 1
    if row.running or row.state not in ("active", *_ENDED, None):
        return 2
    return 4 if row.state in _ENDED or row.state is None else 3


@command("status", rich_help_panel="Reading")
def status(
    run: Run,
    access: Annotated[str | None, typer.Argument(metavar="[ACCESS]", help="ID of an access, or a part of IDs.")] = None,
    *,
    state: Annotated[list[str] | None, typer.Option("--state", metavar="STATE", help="Only this state. Repeatable.")] = None,
    system: Annotated[str | None, typer.Option("--system", metavar="SYSTEM", help="Only this system.")] = None,
    of_tenant: Annotated[str | None, typer.Option("--of-tenant", metavar="TENANT", help="Only this tenant.")] = None,
    findings: Annotated[bool, typer.Option("--findings", help="Only accesses with findings.")] = False,
    due: Annotated[bool, typer.Option("--due", help="Only accesses of which something ends: rotations, deletions.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also accesses that are gone or offboarded.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Repeat until Ctrl-C.")] = False,
) -> int:
    """List the accesses, and what goes on with each."""
    for one in state or ():
        if one not in _STATES:
            raise CliProblem(f"{one} is no state.", f"Use one of {', '.join(_STATES)}.", REJECTED)
    if watch and run.screen.as_json:
        raise CliProblem("--watch and --json exclude each other.", "Remove one of them.", REJECTED)

    def selected() -> tuple[list[Row], int]:
        found = rows(run.connection)
        if access is not None:
            found = [row for row in found if row.access_id == access] or [r for r in found if access in r.access_id]
            if not found:
                raise CliProblem(f"No access is called {access}.", "`latchkey status --all` lists all of them.", REJECTED)
        shows_ended = everything or access is not None or bool(state) or due
        chosen = [
            row
            for row in found
            if (not state or row.state in state)
            and (not system or row.system == system)
            and (not of_tenant or row.tenant == of_tenant)
            and (not findings or row.findings)
            and (not due or row.due_for)
        ]
        shown = [row for row in chosen if shows_ended or (row.state not in _ENDED and (row.state or row.running))]
        return shown, len(chosen) - len(shown)

    if run.screen.as_json:
        run.screen.json([row.wire for row in selected()[0]])
    elif watch:
        _watch(run, selected)
    else:
        chosen, hidden = selected()
        run.screen.show(drawn(chosen, run.screen.out.width, hidden=hidden))
    return 0


def _watch(run: Run, selected: Any) -> None:
    """Draws the table again every two seconds. Without a terminal, it is printed when it has changed."""
    screen, last = run.screen, None
    if not screen.out.is_terminal:
        while True:
            chosen, hidden = selected()
            if chosen != last:
                last = chosen
                screen.show(drawn(chosen, screen.out.width, hidden=hidden))
                screen.out.file.flush()
            time.sleep(_PAUSE)
    with Live(console=screen.out, auto_refresh=False, screen=False) as live:
        while True:
            chosen, hidden = selected()
            note = Text(f"{datetime.now():%H:%M:%S}, every {_PAUSE:.0f} s. Ctrl-C ends this.", style=QUIET)
            live.update(Group(drawn(chosen, screen.out.width, hidden=hidden), note), refresh=True)
            time.sleep(_PAUSE)


def drawn(chosen: Sequence[Row], width: int, hidden: int = 0, now: datetime | None = None) -> RenderableType:
    """The table of accesses. On a narrow terminal, it has no columns that can be found in `describe`."""
    is_wide = width >= WIDE
    now = now or datetime.now(UTC)
    shows_tenant = any(row.tenant != DEFAULT_TENANT for row in chosen)
    columns = ["access", "state", *(["tenant"] if shows_tenant else []), "findings"]
    columns += ["recorded"] if is_wide else []
    shows_arns = width >= _WITH_ARNS
    columns += ["key", "secret"] if shows_arns else []
    shown = table(*columns, "now", folded=("access", "key", "secret", "findings", "now"))
    for row in chosen:
        cells: list[RenderableType] = [row.access_id, state_text(row.state)]
        cells += [row.tenant] if shows_tenant else []
        cells += [_findings(row, is_wide=is_wide)]
        cells += [ago(row.recorded_at, now)] if is_wide else []
        cells += [short_arn(row.key_arn), short_arn(row.secret_arn)] if shows_arns else []
        shown.add_row(*cells, _now(row, now, is_wide=is_wide))
    return Group(shown, Text(""), summary(chosen, hidden)) if chosen else Text(_nothing(hidden), style=QUIET)


def _nothing(hidden: int) -> str:
    return f"No access. {plural(hidden, 'more')} with --all." if hidden else "No access."


def _findings(row: Row, *, is_wide: bool) -> Text:
    if not row.findings:
        return Text("-", style=QUIET)
    text = ", ".join(row.findings) if is_wide or len(row.findings) == 1 else f"{row.findings[0]} +{len(row.findings) - 1}"
    return Text(text, style=BAD if row.state in ("revoked", "detached") else CAUTION)


def _now(row: Row, now: datetime, *, is_wide: bool) -> Text:
    """What goes on, and what ends when. On a narrow terminal, without the ID of the request."""
    if row.running:
        return Text(f"request {row.running}" if is_wide else "running", style="cyan")
    if row.due:
        soon = CAUTION if row.due - now < timedelta(days=7) else QUIET
        return Text(f"{row.due_for} {ago(row.due, now)}" if is_wide else f"ends {ago(row.due, now)}", style=soon)
    return Text(row.due_for, style=QUIET)


def summary(chosen: Sequence[Row], hidden: int = 0) -> Text:
    """How many accesses there are, and what their keys and secrets cost per month."""
    alive = [row for row in chosen if row.state not in (*_ENDED, None)]
    keys = {row.key_arn for row in alive if row.key_arn}
    secrets = {row.secret_arn for row in alive if row.secret_arn}
    cost = monthly_cost(["key"] * len(keys) + ["secret"] * len(secrets))
    parts = [plural(len(chosen), "access", "accesses")]
    if keys:
        parts.append(f"{plural(len(keys), 'key')} and {plural(len(secrets), 'secret')}: about ${cost:.2f} per month")
    if hidden:
        parts.append(f"{hidden:,} gone or offboarded (--all)")
    return Text("; ".join(parts), style=QUIET)
