"""`latchkey bulk`: checks a manifest, stores it in the bucket of the stack, and follows its requests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from latchkey.bulk.manifest import MOST_BYTES, Line, parse_manifest
from latchkey.errors import InvalidRequest, Problem
from latchkey.registry.requests import RequestRef
from latchkey.requests.lifecycle import BULK_ONBOARDING_REQUESTED, MANIFESTS
from latchkey.requests.parsing import parse_onboarding
from latchkey_cli.command import Run, command
from latchkey_cli.connection import Connection
from latchkey_cli.following import Outcome, follow, heading
from latchkey_cli.problems import REJECTED, CliProblem
from latchkey_cli.request_files import checked
from latchkey_cli.screen import BAD, CAUTION, GOOD, QUIET, STRONG, Screen, plural, table
from latchkey_cli.sending import Sent, send
from latchkey_cli.wording import describe_outcome, status_of

_MOST_SHOWN = 20
_GOOD = ("Access Onboarded", "Access Handed Off", "Access Planned")


@command("bulk", rich_help_panel="Requests")
def bulk(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Manifest: JSON Lines (.jsonl) or CSV (.csv).")],
    *,
    plan: Annotated[bool, typer.Option("--plan", help="Plan every line, and change nothing.")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Send it although lines are invalid: they are rejected.")] = False,
    follow_it: Annotated[bool, typer.Option("--follow", "-f", help="Follow the requests until all have an outcome.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the results here.")] = None,
) -> int:
    """Onboard every line of a manifest."""
    lines = _checked(run.screen, file, anyway=anyway)
    request_id = f"cli-{uuid.uuid4()}"
    stored = _store(run.connection, file, request_id)
    detail: dict[str, Any] = {"requestId": request_id, "manifest": stored} | ({"mode": "plan"} if plan else {})
    sent = send(run.connection, BULK_ONBOARDING_REQUESTED, checked("The request", BULK_ONBOARDING_REQUESTED, detail))
    if not follow_it and output is None:
        if run.screen.as_json:
            run.screen.json({"requestId": sent.request_id, "eventId": sent.event_id, "lines": len(lines)})
            return 0
        run.screen.say(("✓ ", GOOD), f"sent {plural(len(lines), 'request')}: ", (sent.request_id, STRONG))
        run.screen.say("Follow it with ", (f"latchkey outcome {sent.request_id} --follow", STRONG), indent=2)
        return 0
    heading(run.screen, sent, plural(len(lines), "request"))
    found = follow(run.connection, run.screen, sent, counted=_counter(run.connection, sent, lines, plans=plan), seconds=86_400)
    describe_outcome(run.screen, found)
    _results(run, found, output)
    return status_of(found)


def _checked(screen: Screen, file: Path, *, anyway: bool) -> list[Line]:
    """The lines of the manifest. Raises CliProblem if it is rejected whole, or if a line is invalid."""
    if file.stat().st_size > MOST_BYTES:
        raise CliProblem(f"{file} is too large for a manifest.", "Divide it into several manifests.", REJECTED)
    try:
        lines = parse_manifest(file.name, file.read_bytes())
    except InvalidRequest as error:
        raise CliProblem(f"{file} {error.problems[0].rule}.", "See docs/bulk.md.", REJECTED) from None
    problems = [(line.number, one) for line in lines for one in _problems(line)]
    if problems and not anyway:
        for number, one in problems[:_MOST_SHOWN]:
            screen.note((f"line {number}  ", CAUTION), (one.path, STRONG), f"  {one.rule}")
        if len(problems) > _MOST_SHOWN:
            screen.note((f"and {len(problems) - _MOST_SHOWN:,} more", QUIET))
        bad = plural(len({number for number, _ in problems}), "line")
        raise CliProblem(
            f"{bad} of {file} {'is' if bad.startswith('1 ') else 'are'} invalid, and nothing was sent.",
            "Correct them, or send the valid lines with --anyway.",
            REJECTED,
        )
    return lines


def _problems(line: Line) -> Sequence[Problem]:
    if line.problem is not None or line.detail is None:
        return (line.problem,) if line.problem else ()
    try:
        parse_onboarding({"requestId": "line", **line.detail})
    except InvalidRequest as error:
        return error.problems
    return ()


def _store(connection: Connection, file: Path, request_id: str) -> dict[str, str]:
    """Stores the manifest under the prefix for manifests, and returns its key and version."""
    key = f"{MANIFESTS}{request_id}{file.suffix.lower()}"
    bucket = connection.output("DataBucketName")
    answer = connection.client("s3").put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
    version = answer.get("VersionId")
    return {"key": key} | ({"versionId": version} if version else {})


def _counter(connection: Connection, sent: Sent, lines: Sequence[Line], *, plans: bool) -> Callable[[], tuple[int, int]]:
    """Counts the lines that have an outcome. A line has the ID of the bulk request with its number, or one of its own."""
    suffix = ".plan" if plans else ""
    own = [str(line.detail["requestId"]) for line in lines if line.detail and "requestId" in line.detail]

    def count() -> tuple[int, int]:
        items = connection.table.query("request", RequestRef(f"{sent.request_id}.", "", sent.tenant).item_id)
        done = sum("outcomeType" in item for item in items)
        named = (connection.table.get("request", RequestRef(f"{one}{suffix}", "", sent.tenant).item_id) for one in own)
        return done + sum("outcomeType" in item for item in named), len(lines)

    return count


def _results(run: Run, found: Outcome, output: Path | None) -> None:
    """Shows the lines that did not succeed, and writes the results to a file."""
    stored = found.detail.get("results")
    if not stored:
        return
    body = run.connection.client("s3").get_object(Bucket=stored["bucket"], Key=stored["key"])["Body"].read()
    if output is not None:
        output.write_bytes(body)
        run.screen.note(("✓ ", GOOD), f"wrote {output}")
    if run.screen.as_json:
        return
    results = [json.loads(line) for line in body.decode().splitlines() if line]
    _show(run.screen, [one for one in results if one["outcome"] not in _GOOD])


def _show(screen: Screen, failed: Sequence[Mapping[str, Any]]) -> None:
    if not failed:
        return
    shown = table("line", "outcome", "access", "why", folded=("access", "why"), right=("line",))
    for one in failed[:_MOST_SHOWN]:
        errors = [f"{error['place']} {error['rule']}" for error in one.get("errors", ())]
        failure = one.get("failure") or {}
        why = "\n".join(errors) or f"{failure.get('name', '')} {failure.get('message', '')}".strip() or "-"
        shown.add_row(str(one["line"]), one["outcome"] or "none", one.get("accessId") or "-", why, style=BAD)
    screen.show(shown)
    if len(failed) > _MOST_SHOWN:
        screen.say((f"and {len(failed) - _MOST_SHOWN:,} more: --output writes all of them", QUIET))
