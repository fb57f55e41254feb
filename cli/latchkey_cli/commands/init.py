"""`latchkey init`: asks for what a request needs, and writes a request file."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from latchkey.systems import SYSTEMS
from latchkey_cli.command import Run, command
from latchkey_cli.problems import REJECTED, CliProblem
from latchkey_cli.questions import Question, applies, broken_rule, file_name, questions, read_value, request_of
from latchkey_cli.request_files import checked
from latchkey_cli.screen import BAD, GOOD, QUIET, STRONG, Screen


@command("init", local=True, rich_help_panel="Requests")
def init(
    run: Run,
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help=f"One of {', '.join(SYSTEMS)}.")],
    *,
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="MEMBER=VALUE", help="Answer without being asked. Repeatable.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask only what has no default.")] = False,
) -> int:
    """Ask for what a request needs, and write a request file."""
    if system not in SYSTEMS:
        raise CliProblem(f"{system} is no system.", f"Use one of {', '.join(SYSTEMS)}.", REJECTED)
    answers, files = _given(given or ()), dict[str, Any]()
    if output is not None and output.exists() and not force:
        raise _exists(output)
    asked = [*questions(system)]
    for question in asked:
        if question.path in answers:
            _check_given(system, question, answers, files)
    for question in asked:
        if question.path not in answers and applies(question, answers):
            _ask(run.screen, system, question, answers, files, asks_all=not yes)
    detail = request_of(system, answers, files)
    checked("The request", "Onboarding Requested", detail)
    target = output or Path(file_name(detail))
    if target.exists() and not force:
        raise _exists(target)
    target.write_text(f"{json.dumps(detail, indent=2)}\n")
    if run.screen.as_json:
        run.screen.json({"file": str(target), "request": detail})
        return 0
    run.screen.say(("✓ ", GOOD), "wrote ", (str(target), STRONG))
    run.screen.say("See what it would change: ", (f"latchkey plan {target}", STRONG), indent=2)
    run.screen.say("Carry it out:             ", (f"latchkey onboard {target} --follow", STRONG), indent=2)
    return 0


def _exists(path: Path) -> CliProblem:
    return CliProblem(f"{path} exists.", "Choose another name with --output, or replace it with --force.", REJECTED)


def _given(pairs: list[str] | tuple[str, ...]) -> dict[str, str]:
    answers = {}
    for pair in pairs:
        path, sign, value = pair.partition("=")
        if not sign or not path:
            raise CliProblem(f"--set {pair} has no value.", "Write --set MEMBER=VALUE.", REJECTED)
        answers[path.strip()] = value.strip()
    return answers


def _check_given(system: str, question: Question, answers: Mapping[str, str], files: dict[str, Any]) -> None:
    rule = _understood(system, question, answers, files)
    if rule is not None:
        raise CliProblem(f"{question.path} {rule}.", "Correct its --set.", REJECTED)


def _understood(system: str, question: Question, answers: Mapping[str, str], files: dict[str, Any]) -> str | None:
    """The rule that an answer breaks, or None. The value of a file is read."""
    answer = answers[question.path]
    if question.choices and answer not in question.choices:
        return f"must be one of {', '.join(question.choices)}"
    if question.is_file and answer:
        try:
            files[question.path] = read_value(Path(answer))
        except OSError as error:
            return f"must be a file that can be read: {error.strerror}"
        except ValueError:
            return "must be a file with a JSON list"
    return broken_rule(system, question.path, answers, files)


def _ask(
    screen: Screen,
    system: str,
    question: Question,
    answers: dict[str, str],
    files: dict[str, Any],
    *,
    asks_all: bool,
) -> None:
    """Asks until the answer breaks no rule. An empty answer to a question that is not required leaves the member out."""
    if not asks_all and not question.is_required:
        answers |= {question.path: question.default} if question.default else {}
        return
    while True:
        screen.note((question.text, STRONG))
        if hint := _hint(question):
            screen.note((f"  {hint}", QUIET))
        text = _answer() or question.default
        if not text and not question.is_required:
            return
        rule = "is missing" if not text else _understood(system, question, answers | {question.path: text}, files)
        if rule is None:
            answers[question.path] = text
            return
        screen.note(("✗ ", BAD), rule)


def _hint(question: Question) -> str:
    if question.path == "key.alias":
        return f"Enter for {question.example}, which the accesses of a system share"
    if question.choices:
        return f"one of {', '.join(question.choices)}; Enter for {question.default or 'none'}"
    example = f"for example {question.example}" if question.example else ""
    return example if question.is_required else f"{example}; Enter for none" if example else "Enter for none"


def _answer() -> str:
    """A line of the standard input. Raises CliProblem at its end."""
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        raise CliProblem(
            "Not every question was answered, so no file was written.",
            "Answer all of them, or give the answers with --set.",
            REJECTED,
        ) from None
