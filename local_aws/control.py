"""Controls for tests under /_local/: health, faults, assumptions, calls and the origin's log, JSON in and out."""

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import cloudformation
from pydantic import ValidationError

from local_aws.assumptions import CURRENT
from local_aws.calls import Calls
from local_aws.faults import Fault, Faults
from local_aws.origin import Origin
from local_aws.rest_json import Response

STACK = "latchkey"
Answer = tuple[int, Any]


class Control:
    """Answers /_local/ requests; `ready` is set by whoever has finished starting."""

    def __init__(self, origin: Origin, account: str, region: str) -> None:
        self.calls, self.faults, self.origin = Calls(), Faults(), origin
        self.ready = False
        self._account, self._region = account, region

    def answer(self, method: str, path: str, body: bytes) -> Response:
        operations = self._operations().get(path.removeprefix("/_local/"))
        if operations is None:
            return _json(404, {"error": f"no control {path}"})
        if method not in operations:
            return _json(405, {"error": f"{path} takes {', '.join(operations)}"})
        try:
            return _json(200, {} if (found := operations[method](body)) is None else found)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False, include_context=False)
            return _json(400, {"error": "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems)})
        except ValueError as error:
            return _json(400, {"error": str(error)})

    def _operations(self) -> dict[str, dict[str, Callable[[bytes], Any]]]:
        return {
            "health": {"GET": lambda _: self._health()},
            "faults": {
                "GET": lambda _: self.faults.met.report(),
                "POST": lambda body: self.faults.add(Fault.model_validate_json(body)),
                "DELETE": lambda _: self.faults.clear(),
            },
            "assumptions": {
                "GET": lambda _: CURRENT.value.model_dump(by_alias=True),
                "PUT": lambda body: CURRENT.update(_object(body)).model_dump(by_alias=True),
                "DELETE": lambda _: CURRENT.reset().model_dump(by_alias=True),
            },
            "calls": {
                "GET": lambda _: self.calls.report(),
                "DELETE": lambda _: self.calls.counts.clear(),
            },
            "origin": {
                "GET": lambda _: self.origin.requests,
                "DELETE": lambda _: self.origin.requests.clear(),
            },
        }

    def _health(self) -> dict[str, Any]:
        with request_scope(self._account, self._region):
            stack = cloudformation._stacks.get(STACK) or {}
        deployed = stack.get("StackStatus") in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        return {"ready": self.ready, "stack": STACK if deployed else None, "originUrl": self.origin.url}


def _object(body: bytes) -> dict[str, object]:
    parsed = json.loads(body)
    if not isinstance(parsed, dict):
        raise ValueError("a JSON object is wanted")
    return parsed


def _json(status: int, answer: Any) -> Response:
    return status, {"Content-Type": "application/json"}, json.dumps(answer).encode()
