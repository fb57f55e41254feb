"""`latchkey completion`: the script with which a shell completes commands and options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from typer import completion as completions

from latchkey_cli.command import Run, command


@command("completion", local=True, rich_help_panel="Tools")
def completion(run: Run, shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Your shell.")]) -> int:
    """Print the script for completion in your shell."""
    make: Any = completions
    script = make.get_completion_script(prog_name="latchkey", complete_var="_LATCHKEY_COMPLETE", shell=shell)
    run.screen.out.file.write(f"{script}\n")
    return 0
