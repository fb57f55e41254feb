"""`latchkey live-check`: tries what AWS does not document, in the account of the command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from latchkey_cli.command import Run, command
from latchkey_cli.problems import REJECTED, CliProblem
from live_check.__main__ import main
from live_check.points import POINTS


@command("live-check", rich_help_panel="Tools")
def live_check(
    run: Run,
    *,
    clean: Annotated[bool, typer.Option("--clean", help="Remove what earlier runs left, and try nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    points: Annotated[str, typer.Option("--points", metavar="NAMES", help="Points to try, separated by commas.")] = "",
    output: Annotated[Path, typer.Option("--output", metavar="FOLDER", help="Folder of the results.")] = Path(".live-check"),
    origin: Annotated[str, typer.Option("--origin", metavar="URL", help="Base URL of the source locations.")] = "",
) -> int:
    """Try in your account what AWS does not document."""
    known = {point.name for point in POINTS}
    if unknown := {*filter(None, points.split(","))} - known:
        raise CliProblem(
            f"There is no point {', '.join(sorted(unknown))}.", "docs/live-check.md explains the points.", REJECTED
        )
    given = run.connection.options
    chosen = {"AWS_PROFILE": given.profile, "AWS_DEFAULT_REGION": given.region, "AWS_ENDPOINT_URL": given.endpoint_url}
    os.environ |= {name: value for name, value in chosen.items() if value}
    arguments = [*(["--clean"] if clean else []), *(["--yes"] if yes else []), "--points", points, "--output", str(output)]
    return main([*arguments, "--origin", origin])
