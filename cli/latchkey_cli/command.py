"""What every command has: the options that say where to look, and the handling of everything that goes wrong."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperGroup

from latchkey.tags import DEFAULT_TENANT
from latchkey_cli.connection import Connection, Options
from latchkey_cli.problems import FAILED, INTERRUPTED, REJECTED, explained
from latchkey_cli.request_files import InvalidFile
from latchkey_cli.screen import BAD, Screen
from latchkey_cli.wording import show_problems

_PANEL = "Where to look"


class _Panels(TyperGroup):
    """Lists the commands by their panels, in the order in which they were added."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, Any]]] = {}
        for name in self.list_commands(ctx):
            found: Any = self.get_command(ctx, name)
            panel = getattr(found, "rich_help_panel", None)
            panels.setdefault(panel if isinstance(panel, str) else "Commands", []).append((name, found))
        width = formatter.width - 6 - max(len(name) for commands in panels.values() for name, _ in commands)
        for panel, commands in panels.items():
            with formatter.section(panel):
                formatter.write_dl([(name, found.get_short_help_str(width)) for name, found in commands])


app = typer.Typer(
    name="latchkey",
    cls=_Panels,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Onboard AWS media services to their secrets, follow requests, and find out who can read what.",
    epilog="Exit codes: 0 done, 1 failed, 2 rejected or wrongly called, 3 a plan with changes, 130 interrupted.",
)


@dataclass(frozen=True)
class Run:
    """One run of a command: the account it looks at, and where it prints."""

    connection: Connection
    screen: Screen


def _option(name: str, meaning: str, *, env: str | None = None, metavar: str | None = None) -> Any:
    return typer.Option(name, help=meaning, envvar=env, show_envvar=bool(env), metavar=metavar, rich_help_panel=_PANEL)


_COMMON: dict[str, tuple[Any, Any]] = {
    "profile": (Annotated[str | None, _option("--profile", "AWS profile.", metavar="NAME")], None),
    "region": (Annotated[str | None, _option("--region", "AWS Region.", metavar="NAME")], None),
    "endpoint_url": (
        Annotated[str | None, _option("--endpoint-url", "Address of an embedded AWS (`make local`).", metavar="URL")],
        None,
    ),
    "stack": (
        Annotated[str, _option("--stack", "Name of the stack.", env="LATCHKEY_STACK", metavar="NAME")],
        "latchkey",
    ),
    "tenant": (
        Annotated[str, _option("--tenant", "Tenant that sends the requests.", env="LATCHKEY_TENANT", metavar="NAME")],
        DEFAULT_TENANT,
    ),
    "json": (Annotated[bool, _option("--json", "Print JSON for programs.")], False),
}


def command[**Given](
    name: str, *, group: typer.Typer = app, local: bool = False, **settings: Any
) -> Callable[[Callable[..., int | None]], Callable[..., int]]:
    """Adds a command with the common options. Its first argument is the Run, and it returns the exit code, or None for 0.

    A `local` command looks at no account, so it has only the option `--json`.
    """

    def add(function: Callable[..., int | None]) -> Callable[..., int]:
        own = [*inspect.signature(function).parameters.values()][1:]
        hints = get_type_hints(function, include_extras=True)
        common = {key: value for key, value in _COMMON.items() if not local or key == "json"}

        @wraps(function)
        def run(**given: Any) -> int:
            chosen = {key: given.pop(key) for key in common}
            screen = Screen(as_json=chosen.pop("json"))
            sent = "Nothing was written." if local else "A request that was sent goes on: `latchkey status` shows it."
            return guarded(screen, lambda: function(Run(Connection(Options(**chosen)), screen), **given), sent)

        extra = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for key, (kind, default) in common.items()
        ]
        typed = [one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        run.__signature__ = inspect.Signature([*typed, *extra])  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in (*typed, *extra)}
        group.command(name, **settings)(run)
        return run

    return add


def guarded(screen: Screen, work: Callable[[], int | None], interrupted: str) -> int:
    """Runs a command and returns its exit code. What goes wrong is said in two lines, and never with a traceback.

    `interrupted` is the second line after Ctrl-C.
    """
    try:
        status = work() or 0
        screen.out.file.flush()
    except KeyboardInterrupt:
        screen.problem("Interrupted.", interrupted)
        return INTERRUPTED
    except InvalidFile as error:
        if screen.as_json:
            screen.json({"problems": [{"place": one.path, "rule": one.rule} for one in error.problems]})
        screen.err.print(f"{error.name} is no valid request, and was not sent:", style=BAD)
        show_problems(Screen(out=screen.err, err=screen.err), [(one.path, one.rule) for one in error.problems])
        return REJECTED
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if os.environ.get("LATCHKEY_DEBUG"):
            raise
        problem = explained(error)
        _drop_output_that_cannot_be_written(screen, error)
        screen.problem(problem.what, problem.remedy)
        return problem.status or FAILED
    return status


def _drop_output_that_cannot_be_written(screen: Screen, error: Exception) -> None:
    """After a full disk, Python would try to write the rest when it exits, and print an error of its own."""
    if isinstance(error, OSError) and error.filename is None:
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, screen.out.file.fileno())
        except (OSError, ValueError):
            return
