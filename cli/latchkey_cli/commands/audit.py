"""`latchkey audit`: shows, exports and verifies the audit records."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from latchkey_cli.accesses import find_access
from latchkey_cli.command import Run, app, command
from latchkey_cli.commands.describe import DETAILS, show_history
from latchkey_cli.connection import Connection
from latchkey_cli.exported_audit import problems_of_file
from latchkey_cli.functions import invoke
from latchkey_cli.problems import FAILED, REJECTED, CliProblem
from latchkey_cli.screen import BAD, GOOD, QUIET, STRONG, Screen, plural

_GROUP = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The audit records of accesses.")
app.add_typer(_GROUP, name="audit", rich_help_panel="Tools")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
Access = Annotated[str | None, typer.Argument(metavar="[ACCESS]", help="ID of an access. By default, all accesses.")]


@command("show", group=_GROUP)
def show(
    run: Run,
    access: Access = None,
    *,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How long ago (30m, 24h, 7d), or a date.")] = "24h",
    details: Annotated[bool, typer.Option("--details", help="Also intentions and evidence.")] = False,
) -> int:
    """Show decisions and changes, with their times and principals."""
    begin = time_of(since)
    audit = run.connection.audit
    if access is not None and not access.startswith("#"):
        access = find_access(run.connection, access).access_id
    names = [access] if access else audit.accesses()
    records: list[Mapping[str, Any]] = []
    with run.screen.progress("Accesses") as advance:
        for number, name in enumerate(names, 1):
            advance(number, len(names))
            _, chain = audit.chain(name)
            found = [json.loads(one.text) for one in chain]
            records += [one for one in found if datetime.fromisoformat(one["at"]) >= begin]
    if not details:
        records = [one for one in records if one["action"] not in DETAILS]
    records.sort(key=lambda one: (one["at"], one["number"]), reverse=True)
    if run.screen.as_json:
        run.screen.json(records)
    elif records:
        show_history(run.screen, records, accesses=access is None)
    else:
        run.screen.say((f"No records since {begin.astimezone():%Y-%m-%d %H:%M}.", QUIET))
    return 0


def time_of(text: str, now: datetime | None = None) -> datetime:
    """The time that `30m`, `24h`, `7d` or a date means. Raises CliProblem for anything else."""
    if found := re.fullmatch(r"(\d{1,5})([mhd])", text):
        return (now or datetime.now(UTC)) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise CliProblem(f"{text} is no time.", "Write for example 30m, 24h, 7d or 2026-11-28.", REJECTED) from None
    return given if given.tzinfo else given.astimezone()


@command("export", group=_GROUP)
def export(
    run: Run,
    access: Access = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the two files.")] = Path(),
) -> int:
    """Export the records and the heads of their chains, and download both."""
    access = find_access(run.connection, access).access_id if access else None
    output.mkdir(parents=True, exist_ok=True)
    with run.screen.waiting("Verifying and exporting every chain"):
        answer = _exported(run.connection, {"accessId": access})
    files = [output / Path(answer[name]).name for name in ("key", "headsKey")]
    for name, path in zip(("key", "headsKey"), files, strict=True):
        _download(run.connection, run.screen, answer[name], path)
    return _report(run.screen, answer, [str(path) for path in files])


@command("verify", group=_GROUP)
def verify(
    run: Run,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Exported records. By default, the records in the account.")
    ] = None,
    *,
    heads: Annotated[Path | None, typer.Option("--heads", metavar="FILE", help="By default, next to the records.")] = None,
    earlier: Annotated[
        str | None,
        typer.Option("--earlier", metavar="HEADS", help="Heads of an earlier export."),
    ] = None,
) -> int:
    """Find records that were changed, removed or inserted, in a file or in the account."""
    if file is None:
        with run.screen.waiting("Verifying every chain"):
            answer = _exported(run.connection, {"accessId": None, "verify": True, "earlier": earlier})
        return _report(run.screen, answer, [])
    try:
        found = problems_of_file(file, heads, Path(earlier) if earlier else None)
    except (ValueError, KeyError, TypeError):
        raise CliProblem(f"The heads of {file} are not those of an export.", "Export the records again.", REJECTED) from None
    problems = [{"accessId": one.access_id or str(file), "number": one.number, "problem": one.problem} for one in found]
    return _report(run.screen, {"problems": problems, "problemCount": len(problems)}, [])


def _exported(connection: Connection, event: Mapping[str, Any]) -> Any:
    return invoke(connection, connection.resource("ExportAuditFunction"), event)


def _report(screen: Screen, answer: Mapping[str, Any], files: list[str]) -> int:
    if screen.as_json:
        screen.json({**answer, "files": files})
        return FAILED if answer["problemCount"] else 0
    for path in files:
        screen.say(("✓ ", GOOD), "wrote ", (path, STRONG))
    for one in answer["problems"]:
        screen.say(("✗ ", BAD), f"{one['accessId']} {one['number']}: {one['problem']}")
    if answer["problemCount"]:
        screen.say((plural(answer["problemCount"], "problem"), BAD))
        return FAILED
    counted = f": {plural(answer['records'], 'record')} of {plural(answer['accesses'], 'chain')}" if "records" in answer else ""
    screen.say(("✓ ", GOOD), f"every chain is complete and unchanged{counted}")
    return 0


def _download(connection: Connection, screen: Screen, key: str, path: Path) -> None:
    """Downloads an object of the data bucket, with a progress bar on a terminal."""
    answer = connection.client("s3").get_object(Bucket=connection.output("DataBucketName"), Key=key)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=screen.err, transient=True, disable=not screen.is_live) as bar, path.open("wb") as written:
        task = bar.add_task(path.name, total=answer.get("ContentLength"))
        for chunk in answer["Body"].iter_chunks():
            written.write(chunk)
            bar.update(task, advance=len(chunk))
