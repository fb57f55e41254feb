"""Request files: the detail of a request, or an entry of PutEvents, checked with the models of the product."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latchkey.errors import InvalidRequest, Problem
from latchkey.requests.lifecycle import ASKED_REQUESTS, KINDS
from latchkey.requests.models import HANDOFF_CONFIRMED, ONBOARDING_REQUESTED
from latchkey.requests.parsing import parse_asked, parse_confirmation, parse_onboarding
from latchkey_cli.problems import REJECTED, CliProblem

_LARGEST = 1024 * 1024


@dataclass(frozen=True)
class RequestFile:
    """The detail of a request, and its kind if the file says it."""

    detail: dict[str, Any]
    kind: str | None = None


class InvalidFile(Exception):
    """A request that breaks rules. Its problems contain no value of the request."""

    def __init__(self, name: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(name)
        self.name, self.problems = name, problems


def read_request(path: Path) -> RequestFile:
    """The request in a file. Raises CliProblem if it is not one JSON object, or one entry of PutEvents."""
    if path.stat().st_size > _LARGEST:
        raise CliProblem(f"{path} is too large for a request.", "Give the file of one request.", REJECTED)
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise CliProblem(f"{path} is not UTF-8 text.", "Save it as UTF-8.", REJECTED) from None
    except RecursionError:
        raise CliProblem(f"{path} is nested too deeply.", "Remove levels of nesting.", REJECTED) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise CliProblem(
            f"{path} is not valid JSON: {error.msg} ({where}).",
            "Correct this line. Often, a comma or a quotation mark is missing there or on the line before.",
            REJECTED,
        ) from None
    if isinstance(found, list):
        if len(found) != 1:
            raise CliProblem(f"{path} has {len(found)} entries.", "Put each request into a file of its own.", REJECTED)
        found = found[0]
    if not isinstance(found, dict):
        raise CliProblem(f"{path} contains no JSON object.", "`latchkey init` writes a request file.", REJECTED)
    return _entry(path, found) if "DetailType" in found else RequestFile(_without_schema(found))


def _entry(path: Path, found: Mapping[str, Any]) -> RequestFile:
    """The request in an entry of PutEvents, as the samples in events/requests have it."""
    detail = found.get("Detail")
    try:
        parsed = json.loads(detail) if isinstance(detail, str) else detail
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise CliProblem(f"The Detail in {path} is no JSON object.", "Correct the Detail, or give only the detail.", REJECTED)
    kind = found["DetailType"]
    if kind not in KINDS:
        raise CliProblem(f"The DetailType in {path} is no kind of request.", f"Use one of {', '.join(KINDS)}.", REJECTED)
    return RequestFile(_without_schema(parsed), str(kind))


def _without_schema(detail: Mapping[str, Any]) -> dict[str, Any]:
    """An editor finds the schema of a file by this member, which is no member of a request."""
    return {name: value for name, value in detail.items() if name != "$schema"}


def checked(name: str, kind: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """The detail with a request ID. Raises InvalidFile with every rule that it breaks, as the deployed functions would find."""
    complete = {"requestId": f"cli-{uuid.uuid4()}", **detail}
    try:
        if kind == ONBOARDING_REQUESTED:
            parse_onboarding(complete)
        elif kind == HANDOFF_CONFIRMED:
            parse_confirmation(complete)
        else:
            parse_asked(kind, complete)
    except InvalidRequest as error:
        raise InvalidFile(name, error.problems) from None
    return complete


def looks_like_a_file(given: str) -> bool:
    """Whether an argument names a file and no access. The ID of an access has two slashes and no suffix of a file."""
    return given.endswith(".json") or Path(given).is_file()


def is_about_an_access(kind: str) -> bool:
    return kind in ASKED_REQUESTS or kind == HANDOFF_CONFIRMED
