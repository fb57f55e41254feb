"""`latchkey findings` and `latchkey grants`: what is wrong with accesses, and which grants need attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from latchkey.aws.keys import find_key
from latchkey.events.findings import Finding
from latchkey_cli.accesses import find_access
from latchkey_cli.command import Run, command
from latchkey_cli.connection import Connection
from latchkey_cli.functions import invoke
from latchkey_cli.problems import REJECTED, CliProblem
from latchkey_cli.screen import (
    BAD,
    CAUTION,
    GOOD,
    QUIET,
    STRONG,
    WIDE,
    Screen,
    ago,
    facts,
    indented,
    plural,
    severity_text,
    short_arn,
    table,
)

_PANEL = "Reading"
_SEVERITIES = ("critical", "high", "medium", "low")
_CLASSES: Mapping[str, str] = {
    "in use": GOOD,
    "orphaned": BAD,
    "suspect": CAUTION,
    "of a deleted principal": CAUTION,
    "of another account": CAUTION,
    "of nobody known": CAUTION,
}
_REMEDIES: Mapping[str, str] = {
    "repair": "A reconciliation repairs this in the mode `repair`.",
    "tell": "A person decides.",
    "never": "Latchkey never changes this.",
}


@dataclass(frozen=True)
class Found:
    """The findings of an access, and when they were seen. `failed` are checks that failed since, in a cleanup."""

    access_id: str
    findings: tuple[Finding, ...]
    seen_at: datetime | None
    failed: tuple[str, ...] = ()


@command("findings", rich_help_panel=_PANEL)
def findings(
    run: Run,
    access: Annotated[str | None, typer.Argument(metavar="[ACCESS]", help="ID of an access.")] = None,
    *,
    severity: Annotated[
        Literal["critical", "high", "medium", "low"] | None, typer.Option(help="This severity, and those above it.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only this kind.")] = None,
) -> int:
    """List what is wrong with accesses, and what corrects it."""
    access = find_access(run.connection, access).access_id if access else None
    shown = [one for one in _found(run.connection) if access in (None, one.access_id)]
    worst = _SEVERITIES.index(severity) if severity else len(_SEVERITIES)
    chosen = [
        Found(
            one.access_id,
            tuple(f for f in one.findings if _SEVERITIES.index(f.severity) <= worst and kind in (None, f.kind.value)),
            one.seen_at,
            one.failed if kind is None else (),
        )
        for one in shown
    ]
    chosen = [one for one in chosen if one.findings or one.failed]
    if run.screen.as_json:
        run.screen.json([_wire(one) for one in chosen])
        return 0
    for one in chosen:
        _show(run.screen, one)
    total = sum(len(one.findings) + len(one.failed) for one in chosen)
    if total:
        run.screen.say((f"{plural(total, 'finding')} of {plural(len(chosen), 'access', 'accesses')}", QUIET))
    else:
        run.screen.say(("✓ ", GOOD), "no findings. ", ("`latchkey reconcile --follow` looks again.", QUIET))
    return 0


def _found(connection: Connection) -> Iterator[Found]:
    known = {one.access_id: one for one in connection.registry.findings.all()}
    for access in connection.registry.accesses.all():
        seen = known.get(access.access_id)
        named = {finding.name for finding in seen.findings} if seen else set()
        lost = connection.registry.accesses.failed_checks(access.access_id) if access.state in ("revoked", "detached") else ()
        failed = tuple(name for name in dict.fromkeys([*lost, *access.findings]) if name not in named)
        yield Found(access.access_id, seen.findings if seen else (), seen.seen_at if seen else None, failed)


def _show(screen: Screen, found: Found) -> None:
    seen = f"  seen {ago(found.seen_at)} ago" if found.seen_at else ""
    screen.say((found.access_id, STRONG), (seen, QUIET))
    for one in sorted(found.findings, key=lambda one: _SEVERITIES.index(one.severity)):
        mark = severity_text(one.severity)
        since = f"  since {ago(one.since)}" if one.since else ""
        screen.say((mark.plain, str(mark.style)), f"  {one.kind.value}", (since, QUIET), indent=2)
        by = one.principal and f"{one.principal} (event {one.trail_event_id})"
        screen.show(indented(facts([("evidence", one.evidence), ("by", by), ("remedy", _REMEDIES[one.remediation])]), 4))
        for line in one.remedy:
            screen.say(("$ ", QUIET), line, indent=4)
    for name in found.failed:
        screen.say(("check failed", CAUTION), f"  {name}", indent=2)
    if found.failed:
        screen.say((f"`latchkey reconcile --access {found.access_id} --follow` finds the causes.", QUIET), indent=4)
    screen.say("")


def _wire(found: Found) -> dict[str, Any]:
    return {
        "accessId": found.access_id,
        "seenAt": found.seen_at,
        "findings": [one.model_dump(mode="json", by_alias=True) for one in found.findings],
        "failedChecks": list(found.failed),
    }


@command("grants", rich_help_panel=_PANEL)
def grants(
    run: Run,
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="ARN, ID or alias of a key. By default, all keys.")] = None,
    *,
    attention: Annotated[bool, typer.Option("--attention", help="Only grants that are not in use.")] = False,
) -> int:
    """List the grants on keys: in use, orphaned, suspect."""
    connection, keys = run.connection, []
    if key is not None:
        found = find_key(connection.client("kms"), key)
        if found is None:
            remedy = "`latchkey describe` shows the key of an access."
            raise CliProblem(f"There is no key {key} in {connection.region}.", remedy, REJECTED)
        keys = [found.arn]
    with run.screen.waiting("Reading grants, resources and secrets"):
        answer = invoke(connection, connection.output("ListGrantsFunctionName"), {"keys": keys})
    listed = [one for one in answer["grants"] if not attention or one["classed"] != "in use"]
    if run.screen.as_json:
        run.screen.json(answer | {"grants": listed})
        return 0
    _show_grants(run.screen, listed)
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(answer["counts"].items()))
    if listed or counts:
        run.screen.say("")
    run.screen.say((counts or "No grants.", QUIET))
    for one in answer["unreadable"]:
        run.screen.say(("not read: ", CAUTION), one)
    return 0


def _show_grants(screen: Screen, listed: list[dict[str, Any]]) -> None:
    """The grants: as a table, or one below the other where it is narrow."""
    is_wide = screen.out.width >= WIDE
    shown = table("class", "grant", "access", "key", "reason", folded=("class", "grant", "access", "key", "reason"))
    for one in listed:
        classed = Text(one["classed"], style=_CLASSES.get(one["classed"], QUIET))
        name, access = one["name"] or one["grantId"], one["accessId"] or "-"
        if is_wide:
            shown.add_row(classed, name, access, short_arn(one["keyArn"]), one["reason"])
            continue
        screen.say((classed.plain, str(classed.style)), "  ", (str(name), STRONG))
        pairs = [
            ("access", one["accessId"]),
            ("key", one["keyArn"]),
            ("secret", short_arn(one["secretArn"])),
            ("why", one["reason"]),
        ]
        screen.show(indented(facts(pairs), 4))
    if is_wide and listed:
        screen.show(shown)
