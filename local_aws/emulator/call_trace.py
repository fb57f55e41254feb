"""The API calls that functions make for requests, in the order in which they take effect, with their parameters."""

import json
from typing import Any
from urllib.parse import parse_qsl, unquote

from local_aws.emulator.api_calls import Call
from local_aws.emulator.asgi import Message, Send
from local_aws.emulator.invocations import Invocation

# Members that can hold the value of a secret.
_VALUES = frozenset({"SecretString", "SecretBinary", "Plaintext"})


class CallTrace:
    """Records calls between `start` and `stop`."""

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] | None = None

    def start(self) -> None:
        self._calls = []

    def stop(self) -> None:
        self._calls = None

    def take(self) -> list[dict[str, Any]]:
        """Returns the calls that were recorded since the last `take`."""
        calls = self._calls or []
        if self._calls is not None:
            self._calls = []
        return calls

    def add(self, call: Call, principal: str, invocation: Invocation | None, send: Send, failed: str | None = None) -> Send:
        """Records a call about to take effect. Returns a `send` that adds the status of its response.

        `failed` says whether a fault hits the call `before` or `after` its effect.
        """
        if self._calls is None or invocation is None or invocation.request_id is None:
            return send
        entry: dict[str, Any] = {
            "request": invocation.request_id,
            "principal": principal,
            "service": call.service,
            "operation": call.operation,
            "path": unquote(call.raw_path),
            "parameters": _parameters(call),
            "failed": failed,
            "status": None,
        }
        self._calls.append(entry)

        async def note_status(message: Message) -> None:
            entry["status"] = message.get("status", entry["status"])
            await send(message)

        return note_status


def _parameters(call: Call) -> dict[str, Any]:
    """Returns the parameters in the query and the body of a call, without values of secrets."""
    query = {name: values[0] for name, values in call.query.items()}
    if call.protocol == "query":
        return query | dict(parse_qsl(call.body.decode(errors="replace"), keep_blank_values=True))
    try:
        body = json.loads(call.body or b"{}")
    except ValueError:
        return query
    return query | ({name: value for name, value in body.items() if name not in _VALUES} if isinstance(body, dict) else {})
