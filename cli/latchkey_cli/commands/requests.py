"""The commands that send a request: onboard, plan, offboard, restore, rotate, confirm, reconcile; and `outcome`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from latchkey.access.remedy import repair_request
from latchkey.requests.lifecycle import (
    OFFBOARDING_REQUESTED,
    RESTORATION_REQUESTED,
    ROTATION_CONFIRMED,
    ROTATION_REQUESTED,
)
from latchkey.requests.models import HANDOFF_CONFIRMED, ONBOARDING_REQUESTED, RECONCILIATION_REQUESTED
from latchkey_cli.accesses import find_access
from latchkey_cli.command import Run, command
from latchkey_cli.following import follow, heading, recorded_outcome
from latchkey_cli.problems import REJECTED, CliProblem
from latchkey_cli.request_files import checked, looks_like_a_file, read_request
from latchkey_cli.screen import GOOD, STRONG
from latchkey_cli.sending import Sent, send
from latchkey_cli.wording import describe_outcome, status_of

_PANEL = "Requests"
Given = Annotated[str, typer.Argument(metavar="FILE_OR_ACCESS", help="Request file, or ID of an access.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Follow the request until it has an outcome.")]
PlanHash = Annotated[
    str | None, typer.Option("--plan-hash", metavar="HASH", help="Do exactly what the plan with this hash says.")
]
_VERBS: Mapping[str, str] = {
    ONBOARDING_REQUESTED: "onboard",
    OFFBOARDING_REQUESTED: "offboard",
    RESTORATION_REQUESTED: "restore",
    ROTATION_REQUESTED: "rotate",
    HANDOFF_CONFIRMED: "confirm",
    ROTATION_CONFIRMED: "confirm",
}
_KINDS: Mapping[str, tuple[str, ...]] = {
    verb: tuple(kind for kind, name in _VERBS.items() if name == verb) for verb in set(_VERBS.values())
}


@command("onboard", rich_help_panel=_PANEL)
def onboard(run: Run, given: Given, *, follow: Follow = False, plan_hash: PlanHash = None) -> int:
    """Onboard an access.

    A request file says what to onboard. For an access, its recorded request is carried out again.
    """
    return _carry_out(run, "onboard", given, {"planHash": plan_hash}, follows=follow)


@command("plan", rich_help_panel=_PANEL)
def plan(
    run: Run,
    given: Given,
    *,
    verb: Annotated[
        Literal["onboard", "offboard", "restore", "rotate", "confirm"] | None,
        typer.Option("--for", help="What to plan for an access. By default, onboard."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Has no effect: a plan is always followed.")] = True,  # noqa: ARG001
) -> int:
    """Show what a request would change. Nothing is changed."""
    return _carry_out(run, verb, given, {"mode": "plan"}, follows=True)


@command("offboard", rich_help_panel=_PANEL)
def offboard(
    run: Run,
    given: Given,
    *,
    resource: Annotated[
        Literal["restore", "detach", "delete", "leave"] | None,
        typer.Option(help="What happens to the resource. By default, it gets its former settings back."),
    ] = None,
    recovery_days: Annotated[int | None, typer.Option(help="Recovery window of the secret, 7 to 30 days.")] = None,
    follow: Follow = False,
    plan_hash: PlanHash = None,
) -> int:
    """Remove an access without breaking its resource.

    The resource stops reading the secret before anything else is removed.
    """
    members = {"resource": resource, "recoveryDays": recovery_days, "planHash": plan_hash}
    return _carry_out(run, "offboard", given, members, follows=follow)


@command("restore", rich_help_panel=_PANEL)
def restore(run: Run, given: Given, *, follow: Follow = False, plan_hash: PlanHash = None) -> int:
    """Set up an offboarded access again.

    That is possible until the recovery window of its secret ends.
    """
    return _carry_out(run, "restore", given, {"planHash": plan_hash}, follows=follow)


@command("rotate", rich_help_panel=_PANEL)
def rotate(
    run: Run,
    given: Given,
    *,
    emergency: Annotated[bool, typer.Option("--emergency", help="The present token must stop working.")] = False,
    accepts_interruption: Annotated[
        bool, typer.Option("--accepts-interruption", help="Rotate although it interrupts the service.")
    ] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="End a pending rotation, and keep the current token.")] = False,
    pending_days: Annotated[int | None, typer.Option(help="Days until a pending rotation is withdrawn, 1 to 30.")] = None,
    follow: Follow = False,
    plan_hash: PlanHash = None,
) -> int:
    """Replace the token of an access.

    A rotation that waits for the other side is pending until `latchkey confirm`; --withdraw ends it.
    """
    members = {
        "emergency": emergency or None,
        "acceptsInterruption": accepts_interruption or None,
        "withdraw": withdraw or None,
        "pendingDays": pending_days,
        "planHash": plan_hash,
    }
    return _carry_out(run, "rotate", given, members, follows=follow)


@command("confirm", rich_help_panel=_PANEL)
def confirm(run: Run, given: Given, *, follow: Follow = False, plan_hash: PlanHash = None) -> int:
    """Confirm that the other side of an access is ready.

    This confirms a pending rotation or, if there is none, a hand-off.
    """
    return _carry_out(run, "confirm", given, {"planHash": plan_hash}, follows=follow)


@command("reconcile", rich_help_panel=_PANEL)
def reconcile(
    run: Run,
    *,
    access: Annotated[str | None, typer.Option("--access", metavar="ACCESS", help="Only this access.")] = None,
    system: Annotated[str | None, typer.Option("--system", metavar="SYSTEM", help="Only the accesses of this system.")] = None,
    acknowledge_storm: Annotated[
        bool, typer.Option("--acknowledge-storm", help="Repair everything, even if it is more than MaxRepairs.")
    ] = False,
    follow: Follow = False,
) -> int:
    """Compare accesses with their requests now.

    The grants on their keys are swept first.
    """
    members = {"accessId": access, "system": system, "acknowledgeStorm": acknowledge_storm or None}
    detail = {name: value for name, value in members.items() if value is not None}
    return _sent(run, RECONCILIATION_REQUESTED, checked("The request", RECONCILIATION_REQUESTED, detail), "", follows=follow)


@command("outcome", rich_help_panel=_PANEL)
def outcome(
    run: Run,
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID", help="ID of a request.")],
    *,
    follow: Follow = False,
) -> int:
    """Show the outcome of a request that was sent."""
    sent = Sent(request_id, "", "Request", run.connection.options.tenant)
    if follow and run.connection.table.get("request", sent.item_id):
        return _followed(run, sent, "")
    found = recorded_outcome(run.connection, sent)
    if found is None:
        known = run.connection.table.get("request", sent.item_id)
        if known:
            waits = f" It waits: {known['waitingFor']}." if "waitingFor" in known else ""
            raise CliProblem(f"The request {request_id} has no outcome yet.{waits}", "Add --follow to wait for it.")
        raise CliProblem(
            f"There is no request {request_id} of the tenant {sent.tenant}.",
            "`latchkey dlq list` shows requests that could not be delivered. For another tenant, add --tenant.",
        )
    describe_outcome(run.screen, found)
    return status_of(found)


def _carry_out(run: Run, verb: str | None, given: str, members: Mapping[str, Any], *, follows: bool) -> int:
    """Sends the request in a file, or one about an access, with members of the command line."""
    kind, detail = _of_file(verb, given) if looks_like_a_file(given) else _of_access(run, verb or "onboard", given)
    detail |= {name: value for name, value in members.items() if value is not None}
    if detail.get("mode") == "plan":
        # The plan must not use up the ID of the request that follows it.
        detail = {name: value for name, value in detail.items() if name not in ("requestId", "planHash")}
    return _sent(run, kind, checked(given, kind, detail), f"latchkey {_VERBS[kind]} {given}", follows=follows)


def _of_file(verb: str | None, given: str) -> tuple[str, dict[str, Any]]:
    read = read_request(Path(given))
    kind = read.kind or (_KINDS[verb][0] if verb else ONBOARDING_REQUESTED)
    if verb is not None and kind not in _KINDS[verb]:
        right = f"Run `latchkey {_VERBS[kind]} {given}`" if kind in _VERBS else "Send it with the command for its kind"
        raise CliProblem(f"{given} is a request of the kind {kind}.", f"{right} instead.", REJECTED)
    if kind not in _VERBS:
        raise CliProblem(f"A request of the kind {kind} cannot be planned here.", "See `latchkey --help`.", REJECTED)
    return kind, dict(read.detail)


def _of_access(run: Run, verb: str, access_id: str) -> tuple[str, dict[str, Any]]:
    """The request about a recorded access: its recorded onboarding, or one that names the access."""
    known = find_access(run.connection, access_id)
    access_id = known.access_id
    if verb == "onboard":
        request = known.request
        if request is None:
            raise CliProblem(f"No onboarding of {access_id} has succeeded.", "Onboard it with a request file.", REJECTED)
        again = repair_request(request, f"cli-{uuid.uuid4()}")
        return ONBOARDING_REQUESTED, again.wire
    if verb == "confirm":
        return (ROTATION_CONFIRMED if known.state == "rotating" else HANDOFF_CONFIRMED), {"accessId": access_id}
    return _KINDS[verb][0], {"accessId": access_id}


def _sent(run: Run, kind: str, detail: Mapping[str, Any], repeat: str, *, follows: bool) -> int:
    run.connection.output("AccessTableName")  # the stack is found before anything is sent
    sent = send(run.connection, kind, detail)
    if follows:
        heading(run.screen, sent, _about(detail))
        return _followed(run, sent, repeat)
    if run.screen.as_json:
        run.screen.json({"requestId": sent.request_id, "eventId": sent.event_id, "detailType": kind})
        return 0
    run.screen.say(("✓ ", GOOD), f"sent {kind}: request ", (sent.request_id, STRONG))
    run.screen.say("Follow it with ", (f"latchkey outcome {sent.request_id} --follow", STRONG), indent=2)
    return 0


def _about(detail: Mapping[str, Any]) -> str:
    resource = detail.get("resource")
    names = [value for name, value in resource.items() if isinstance(value, str)] if isinstance(resource, dict) else []
    return str(detail.get("accessId") or (f"{detail.get('system')} {names[0]}" if names else ""))


def _followed(run: Run, sent: Sent, repeat: str) -> int:
    found = follow(run.connection, run.screen, sent)
    describe_outcome(run.screen, found, repeat=repeat)
    return status_of(found)
