"""The lines of a manifest: JSON Lines, or CSV with dotted names of members. No problem repeats a value.

A manifest that cannot be divided into requests is rejected whole. Anything else is a problem of its line.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from latchkey.errors import InvalidRequest, Problem
from latchkey.requests.parsing import json_type

MOST_LINES = 10_000
MOST_BYTES = 25 * 1024 * 1024
# An execution has an input of at most 256 KiB, and contains the request next to what it belongs to.
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
MOST_LINE_BYTES = 64 * 1024
_MANIFEST = "manifest"
# Separates the items of a list in a cell. No ARN contains it.
_SEPARATOR = ";"
_NO_OBJECT = "must be a JSON object"


@dataclass(frozen=True)
class Line:
    """A request of a manifest: the number of its line, from 1, and its detail, or the problem because of which it has none."""

    number: int
    detail: dict[str, Any] | None
    problem: Problem | None = None


def parse_manifest(key: str, body: bytes) -> list[Line]:
    """The requests of a manifest, in their order. Raises InvalidRequest if it is rejected whole.

    The format is decided by the end of the key. A byte order mark, line ends of Windows and empty lines have no meaning.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _rejected("must be UTF-8 text") from None
    if key.lower().endswith(".csv"):
        lines = [*_of_csv(text)]
    elif key.lower().endswith(".jsonl"):
        lines = [_of_json(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    else:
        raise _rejected("must have a key that ends with .jsonl or .csv", "manifest.key")
    if not lines:
        raise _rejected("contains no request")
    if len(lines) > MOST_LINES:
        raise _rejected(f"must have at most {MOST_LINES:,} requests, and has {len(lines):,}: divide it into several manifests")
    return lines


def _rejected(rule: str, path: str = _MANIFEST) -> InvalidRequest:
    return InvalidRequest([Problem(path, rule)])


def _of_json(number: int, line: str) -> Line:
    if len(line.encode(errors="replace")) > MOST_LINE_BYTES:
        return Line(number, None, Problem("detail", f"must have at most {MOST_LINE_BYTES:,} bytes"))
    try:
        detail = json.loads(line)
    except RecursionError:
        return Line(number, None, Problem("detail", "is nested too deeply: remove levels of nesting"))
    except ValueError:
        return Line(number, None, Problem("detail", f"{_NO_OBJECT} on one line"))
    return Line(number, detail) if isinstance(detail, dict) else Line(number, None, Problem("detail", _NO_OBJECT))


def _of_csv(text: str) -> Iterator[Line]:
    """The rows below the header. A row can have line breaks in quotation marks; its number is that of its first line."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(rows, [])
        if len(set(header)) < len(header) or not all(name.strip() for name in header):
            raise _rejected("must have a header with a different name in each column")
        before = rows.line_num
        for row in rows:
            number, before = before + 1, rows.line_num
            if any(cell.strip() for cell in row):
                yield _of_row(number, header, row)
    except csv.Error:
        raise _rejected(f"is not valid CSV in line {rows.line_num}") from None


def _of_row(number: int, header: list[str], row: list[str]) -> Line:
    if len(row) > len(header):
        return Line(number, None, Problem("detail", f"must have at most the {len(header)} cells of the header"))
    cells = {name.strip(): cell.strip() for name, cell in zip(header, row, strict=False) if cell.strip()}
    if sum(map(len, cells.values())) > MOST_LINE_BYTES:
        return Line(number, None, Problem("detail", f"must have at most {MOST_LINE_BYTES:,} bytes"))
    detail: dict[str, Any] = {}
    for name, cell in cells.items():
        *parents, last = place = _path(name)
        node: Any = detail
        for parent in parents:
            node = node.setdefault(parent, {}) if isinstance(node, dict) else None
        if not isinstance(node, dict) or last in node:
            rule = "must not have a value for a member and for a member inside of it"
            return Line(number, None, Problem("detail", rule))
        node[last] = _value(cell, json_type(cells.get("system", ""), tuple(place)))
    return Line(number, detail)


def _path(name: str) -> list[str]:
    """The path of a column. The key of a tag can contain dots."""
    first, dot, rest = name.partition(".")
    return [first, rest] if first == "tags" and dot else name.split(".")


def _value(cell: str, kind: str | None) -> Any:
    """The value of a cell for a member of this JSON type. Any other cell stays text, which breaks the rule of the member."""
    match kind:
        case "boolean" if cell.lower() in ("true", "false"):
            return cell.lower() == "true"
        case "integer" if re.fullmatch("-?[0-9]{1,9}", cell):
            return int(cell)
        case "array":
            return [item.strip() for item in cell.split(_SEPARATOR) if item.strip()]
        case "object" if cell == "{}":
            return {}
        case _:
            return cell
