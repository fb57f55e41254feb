"""The commands that documents show: taken out of shell text, and parsed by the tools that they call."""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import typer
from awscli.clidriver import create_clidriver  # type: ignore[import-untyped]
from typer.main import get_command

from latchkey_cli.command import app
from latchkey_cli.commands import load
from tests.contract.artifacts import FUNCTIONS, RESOURCES, ROOT
from tests.contract.documents import Block, Document

SHELLS = {"sh", "bash", "shell", "console"}
# Commands that are not the project's. A document can show them, and no test follows them.
OTHERS = {".", "cat", "cd", "column", "curl", "docker", "echo", "export", "git", "jq", "less", "pipx", "pre-commit", "source"}
_KEYWORDS = {"do", "then", "else", "if", "while", "until", "!", "time", "exec"}
_LOOPS = {"for", "done", "fi", "case", "esac"}


def _without_comments(text: str) -> str:
    kept, quote, commented = [], "", False
    for at, character in enumerate(text):
        if commented and character != "\n":
            continue
        commented = not quote and character == "#" and (at == 0 or text[at - 1].isspace())
        if commented:
            continue
        if character in "'\"" and quote in {"", character}:
            quote = "" if quote else character
        kept.append(character)
    return "".join(kept)


def statements(text: str) -> Iterator[list[str]]:
    """The commands of a shell text as lists of words, without assignments, redirections, prompts and keywords.

    Commands in substitutions come first. In the other commands, OUTPUT replaces a substitution and NAME replaces `$NAME`.
    """
    text = _without_comments(re.sub(r"^\$ ", "", text, flags=re.MULTILINE).replace("\\\n", " "))
    text = re.sub(r"<<-?\s*['\"]?(\w+)['\"]?(.*?)\n.*?^\1$", r"\2", text, flags=re.MULTILINE | re.DOTALL)
    while inner := re.search(r"\$\(([^()]*)\)", text):
        yield from statements(inner[1])
        text = text.replace(inner[0], "OUTPUT")
    text = re.sub(r"\$\{?(\w+)\}?", r"\1", text)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    words: list[str] = []
    redirected = False
    for token in [*lexer, "\n"]:
        if redirected:
            redirected = False
        elif token[0] in "<>":
            redirected = True
            words = words[:-1] if words and words[-1].isdigit() else words
        elif set(token) <= set("();|&\n"):
            yield from _command(words)
            words = []
        else:
            words.append(token)


def _command(words: list[str]) -> Iterator[list[str]]:
    while words and (words[0] in _KEYWORDS or re.match(r"[A-Za-z_]\w*=", words[0])):
        words = words[1:]
    if words and words[0] not in _LOOPS:
        yield words


@cache
def _targets() -> dict[str, set[str]]:
    text = (ROOT / "Makefile").read_text()
    return {
        "targets": set(re.findall(r"^([\w./-]+):(?!=)", text, re.MULTILINE)),
        "variables": set(re.findall(r"^(\w+) \?=", text, re.MULTILINE)) | {"MAY_INSTALL"},
    }


def make(words: list[str]) -> None:
    """Raises AssertionError for a target or variable that the Makefile does not have."""
    for word in words:
        name, is_assignment, _ = word.partition("=")
        if is_assignment:
            assert name in _targets()["variables"], f"the Makefile has no variable {name}"
        elif not word.startswith("-"):
            assert word in _targets()["targets"], f"the Makefile has no target {word}"


@cache
def _sam(*words: str) -> click.Command:
    """The command of SAM CLI that words name, as far as they do."""
    for module in (f"samcli.commands.{words[0]}.{words[0]}", f"samcli.commands.{words[0]}"):
        if importlib.util.find_spec(module) and hasattr(importlib.import_module(module), "cli"):
            found: click.Command = importlib.import_module(module).cli
            break
    else:
        raise AssertionError(f"sam has no command {words[0]}")
    for word in words[1:]:
        if not isinstance(found, click.Group):
            break
        inner = found.get_command(click.Context(found), word)
        assert inner, f"sam has no command {' '.join(words)}"
        found = inner
    return found


def _named(words: list[str]) -> list[str]:
    """The words up to the first option."""
    return words[: next((at for at, word in enumerate(words) if word.startswith("-")), len(words))]


# The parameters of SAM CLI that take the logical id of a resource.
_OF_RESOURCES = ("function_logical_id", "resource_id", "resource_logical_id", "name")


def sam(words: list[str]) -> None:
    """Raises for a command or option that SAM CLI does not have, or for a function, file or environment that does not exist."""
    group = _sam(*_named(words)[:2])
    depth = 1 if isinstance(_sam(words[0]), click.Group) else 0
    assert not isinstance(group, click.Group), f"sam {' '.join(words)} is not complete"
    try:
        given, values, _ = group.make_parser(click.Context(group)).parse_args(words[1 + depth :])
    except click.UsageError as error:
        raise AssertionError(error.format_message()) from error
    resources = [*values, *(name for option in _OF_RESOURCES for name in _listed(given.get(option)))]
    assert [name for name in resources if name.endswith("Function") and name not in FUNCTIONS] == []
    for name in ("event", "event_file"):
        assert not given.get(name) or (ROOT / given[name]).is_file(), given[name]
    environments = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert given.get("config_env", "default") in {*environments, "ENV"}, "samconfig.toml has no such environment"


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [*(value or ())]


# What a variable of a document holds, where its name alone is not a valid value.
_VALUES = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}


@cache
def _driver() -> Any:
    """The AWS CLI. Starting it takes longer than most commands."""
    return create_clidriver()


def aws(words: list[str], folder: Path) -> None:
    """Runs the AWS CLI with empty answers to its calls. Raises AssertionError if the CLI refuses the command.

    Files are read from the project. What the command writes goes to `folder`.
    """
    words = [_VALUES.get(word, re.sub(r"(?<=^file://)|(?<=^fileb://)", f"{ROOT}/", word)) for word in words]
    if words[:2] == ["lambda", "invoke"]:
        words[-1] = str(folder / "answer.json")
    driver, output, called = _driver(), io.StringIO(), []

    def answer(model: Any, **_: Any) -> tuple[SimpleNamespace, dict[str, Any]]:
        called.append(model.name)
        parsed: dict[str, Any] = {"ResponseMetadata": {"HTTPStatusCode": HTTPStatus.OK}}
        if model.has_streaming_output:
            parsed[model.output_shape.serialization["payload"]] = io.BytesIO(b"{}")
        return SimpleNamespace(status_code=HTTPStatus.OK), parsed

    driver.session.register("before-call", answer, unique_id="answer")
    try:
        with redirect_stdout(output), redirect_stderr(output):
            status = driver.main(words)
    except SystemExit as left:
        status = left.code
    finally:
        driver.session.unregister("before-call", answer, unique_id="answer")
    assert called, f"aws {' '.join(words)} calls nothing: {output.getvalue().strip().splitlines()[-1:]}"
    assert status == 0, output.getvalue()
    for name in _after(words, "--logical-resource-id", "--logical-resource-ids", "--retain-resources"):
        assert name in RESOURCES or name.isupper(), f"the stack has no resource {name}"


def _after(words: list[str], *options: str) -> list[str]:
    return [value for option, value in pairwise(words) if option in options]


def aws_operation(words: list[str]) -> None:
    """Raises AssertionError for a service or operation that the AWS CLI does not have."""
    driver = _driver()
    assert words[0] in driver.session.get_available_services() or words[0] in {"s3", "configure"}, words
    if len(words) > 1 and words[0] in driver.session.get_available_services():
        operations = driver.session.get_service_model(words[0]).operation_names
        assert words[1].replace("-", "") in {name.lower() for name in operations}, words


def python(words: list[str]) -> None:
    """Raises AssertionError for a module or file that does not exist."""
    if words[:1] == ["-m"]:
        module, *arguments = words[1:]
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file() or importlib.util.find_spec(module), module
        if module == "local_aws.containers":
            check(arguments)
    elif words and words[0] != "-c":
        arguments = words
    else:
        return
    paths = [word.partition("::")[0] for word in arguments if word.endswith(".py") or word.startswith("tests/")]
    assert [path for path in paths if not (ROOT / path.partition("::")[0]).exists()] == []


def latchkey(words: list[str], *, is_mentioned_only: bool = False) -> None:
    """Raises AssertionError for a command, option or argument that the command line does not have.

    A command that is only mentioned can lack its arguments.
    """
    load()
    found: Any = get_command(app)
    context = found.make_context("latchkey", [*words], resilient_parsing=True)
    while hasattr(found, "resolve_command") and words:
        try:
            name, found, words = found.resolve_command(context, words)
            context = found.make_context(name, [*words], parent=context, resilient_parsing=is_mentioned_only)
        except typer.Exit:  # --help
            return
        except Exception as error:
            raise AssertionError(f"latchkey: {getattr(error, 'message', error)}") from error
    assert is_mentioned_only or not hasattr(found, "resolve_command"), "latchkey: a command is missing"


_TOOLS: dict[str, Callable[[list[str]], None]] = {"latchkey": latchkey, "make": make, "sam": sam, "python": python}
# The tools of .venv that are called without a check of their options.
_IN_VENV = {"cfn-lint", "lint-imports", "mypy", "pytest", "ruff", "uv"}


def check(words: list[str], folder: Path | None = None) -> None:
    """Raises AssertionError for a command that would not do what a document says."""
    name, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    if name == "aws":
        aws(arguments, folder or Path(os.devnull).parent)
    elif name in _TOOLS:
        _TOOLS[name](arguments)
    elif "/" in name:
        assert (ROOT / name).exists(), name
    else:
        assert name in OTHERS | _IN_VENV | {"true", "COMMAND"}, f"{name} is not known: add it to tests/contract/commands.py"


def mention(code: str) -> None:
    """Checks a command between backticks in a sentence, which can lack its options."""
    [words] = statements(code)
    name, arguments = words[0], words[1:]
    if name == "aws":
        aws_operation(arguments)
    elif name == "sam":
        _sam(*_named(arguments)[:2])
    elif name == "latchkey":
        latchkey(arguments, is_mentioned_only=True)
    else:
        check(words)


def is_mentioned(code: str) -> bool:
    return re.match(r"(make|sam|aws|latchkey|python -m) [a-z]", code) is not None


def shell_blocks(document: Document) -> Iterator[tuple[Block, str]]:
    """The shell text of each block. In a block without a language, lines that begin with a known command are shell text."""
    for block in document.blocks:
        if block.language in SHELLS:
            yield block, block.text
        elif not block.language:
            begins = re.compile(r"(\$ |[A-Z_]+=\$\(|(make|sam|aws|latchkey|python|\.|git|curl|export) )")
            lines = [line for line in block.text.splitlines() if begins.match(line)]
            yield block, "\n".join(lines)


def json_blocks(document: Document) -> Iterator[tuple[Block, Any]]:
    for block in document.blocks:
        if block.language == "json":
            yield block, json.loads(block.text)
