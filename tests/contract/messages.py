"""Every text that the product shows to a person, collected from the code, the templates and the state machines."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CODE = (ROOT / "layers/latchkey/latchkey", ROOT / "functions")
TEMPLATES = ("template.yaml", "observability.yaml", "subscriber.yaml", "central.yaml", "stackset.yaml")

# Matches strings with spaces that are not texts for people: regular expressions, and DynamoDB and JSONata expressions.
_NOT_A_TEXT = re.compile(
    r"""^[^A-Za-z0-9{]|^\w+ = :|^(SET|ADD|DELETE|REMOVE) |attribute_(not_)?exists\(|begins_with\(|= :\w|< :\w|\(\?|\[A-Z]|\\"""
)
_DESCRIPTION = re.compile(r"^\s*(?:- )?(Description|AlarmDescription|ConstraintDescription): *(.*)$")


def messages() -> str:
    """The golden file: one section for each source, one line for each text, in alphabetical order."""
    sections = [*_code(), *_templates(), *_state_machines()]
    return "\n".join(f"## {name}\n\n{''.join(f'{text}\n' for text in sorted(texts))}" for name, texts in sections if texts)


def _code() -> Iterator[tuple[str, set[str]]]:
    for folder in CODE:
        for path in sorted(folder.rglob("*.py")):
            tree = ast.parse(path.read_text())
            yield path.relative_to(ROOT).as_posix(), {text for text in _texts(tree, _docstrings(tree)) if _is_for_people(text)}


def _is_for_people(text: str) -> bool:
    return " " in text and not _NOT_A_TEXT.search(text)


def _docstrings(tree: ast.Module) -> set[int]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and ast.get_docstring(node) is not None and isinstance(node.body[0], ast.Expr)
    }


def _texts(node: ast.AST, docstrings: set[int]) -> Iterator[str]:
    """The strings below a node, except docstrings. An f-string is one text, with its expressions in braces."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr):
            yield "".join(_part(part) for part in child.values)
            for inserted in child.values:
                yield from _texts(inserted, docstrings)
        elif isinstance(child, ast.Constant) and isinstance(child.value, str) and id(child) not in docstrings:
            yield child.value
        elif not isinstance(child, ast.FormattedValue):
            yield from _texts(child, docstrings)


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return f"{{{ast.unparse(part.value)}}}"
    return str(part.value) if isinstance(part, ast.Constant) else ""


def _templates() -> Iterator[tuple[str, set[str]]]:
    for name in TEMPLATES:
        lines = (ROOT / name).read_text().splitlines() if (ROOT / name).is_file() else []
        yield name, set(_descriptions(lines))


def _descriptions(lines: list[str]) -> Iterator[str]:
    """The descriptions in a template, including folded and literal block scalars."""
    for number, line in enumerate(lines):
        if described := _DESCRIPTION.match(line):
            text = described[2].strip("\"'")
            yield (
                _folded(lines[number + 1 :], _indent(line))
                if text.removeprefix("!Sub").strip() in {">-", ">", "|", "|-"}
                else text
            )


def _folded(lines: list[str], indent: int) -> str:
    end = next((number for number, line in enumerate(lines) if _indent(line) <= indent), len(lines))
    return " ".join(line.strip() for line in lines[:end])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _state_machines() -> Iterator[tuple[str, set[str]]]:
    for path in sorted((ROOT / "statemachine").glob("*.asl.json")):
        yield path.relative_to(ROOT).as_posix(), set(_comments(json.loads(path.read_text())))


def _comments(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for name, text in value.items() if name in {"Comment", "Cause"} and isinstance(text, str))
        for inner in value.values():
            yield from _comments(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _comments(inner)
