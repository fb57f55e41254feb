"""The entry point of `latchkey`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

import typer

from latchkey_cli import commands
from latchkey_cli.command import app
from latchkey_cli.problems import INTERRUPTED, REJECTED
from latchkey_cli.screen import Screen


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code."""
    if arguments is None and hasattr(signal, "SIGPIPE"):
        # A reader that has read enough, such as `head`, ends the command without a message.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    commands.load()
    try:
        status = app(list(arguments) if arguments is not None else None, standalone_mode=False, prog_name="latchkey")
    except typer.Abort:
        Screen().problem("Interrupted.", "Nothing was changed.")
        return INTERRUPTED
    except Exception as error:
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError" and context:
            sys.stderr.write(f"{context.get_help()}\n")
            return REJECTED
        name = context.command_path if context else "latchkey"
        Screen().problem(str(message()), f"`{name} --help` shows how to call it.")
        return REJECTED
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
