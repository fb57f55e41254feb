"""Invokes the functions of the stack that only read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from latchkey_cli.connection import Connection
from latchkey_cli.problems import CliProblem


def invoke(connection: Connection, function: str, event: Mapping[str, Any]) -> Any:
    """The answer of a function. Raises CliProblem with the message of its error, which never contains a secret value."""
    answer = connection.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    found = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        kind, message = found.get("errorType", "an error"), found.get("errorMessage", "")
        raise CliProblem(
            f"{function} failed with {kind}: {_readable(message)}", "Correct the cause, and run the command again."
        )
    return found


def _readable(message: str) -> str:
    """The message of an error. That of a rejection is JSON with its problems."""
    try:
        return "; ".join(f"{one['place']} {one['rule']}" for one in json.loads(message)["problems"])
    except (ValueError, KeyError, TypeError):
        return " ".join(message.split())[:300]
