"""The JSON API under /_local/ by which tests control the emulator: health, faults, assumptions, calls, trace, origin, flows."""

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import cloudformation
from pydantic import BaseModel, ConfigDict, ValidationError

from local_aws.emulator.asgi import Response
from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.call_counts import CallCounts
from local_aws.emulator.call_trace import CallTrace
from local_aws.emulator.checkpoint import Checkpoint
from local_aws.emulator.faults import Fault, Faults
from local_aws.emulator.gaps.resource_policies import attach
from local_aws.emulator.services.origin import Origin


class _SecretPolicy(BaseModel):
    """A resource policy of a secret other than `default`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    secret: str
    name: str
    policy: dict[str, Any]


class _Released(BaseModel):
    """The request whose held calls continue, or None for all."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request: str | None = None


class Control:
    """Answers requests under /_local/. The caller that starts the emulator sets `ready`."""

    def __init__(self, origin: Origin, account: str, region: str, stack: str = "") -> None:
        self.calls, self.faults, self.origin = CallCounts(), Faults(), origin
        self.trace = CallTrace()
        self.checkpoint = Checkpoint()
        self.keys_in_use: Callable[[], dict[str, str]] = dict
        self.ready = False
        self._account, self._region, self._stack = account, region, stack

    def answer(self, method: str, path: str, body: bytes) -> Response:
        operations = self._operations().get(path.removeprefix("/_local/"))
        if operations is None:
            return _json(404, {"error": f"{path} is not a control"})
        if method not in operations:
            return _json(405, {"error": f"{path} supports {', '.join(operations)}"})
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
                "GET": lambda _: self.faults.injected.report(),
                "POST": lambda body: self.faults.add(Fault.model_validate_json(body)),
                "DELETE": lambda _: self.faults.clear(),
            },
            "held": {
                "GET": lambda _: self.faults.held(),
                "DELETE": lambda body: self.faults.release(_Released.model_validate_json(body or b"{}").request),
            },
            "assumptions": {
                "GET": lambda _: CURRENT.value.model_dump(by_alias=True),
                "PUT": lambda body: CURRENT.update(_object(body)).model_dump(by_alias=True),
                "DELETE": lambda _: CURRENT.reset().model_dump(by_alias=True),
            },
            "checkpoint": {
                "PUT": lambda _: self.checkpoint.take(),
                "POST": lambda _: {"restored": self.checkpoint.restore()},
            },
            "calls": {
                "GET": lambda _: self.calls.report(),
                "DELETE": lambda _: self.calls.clear(),
            },
            "trace": {
                "GET": lambda _: self.trace.take(),
                "PUT": lambda _: self.trace.start(),
                "DELETE": lambda _: self.trace.stop(),
            },
            "secret-policies": {"PUT": lambda body: self._attach(_SecretPolicy.model_validate_json(body))},
            "flow-keys": {"GET": lambda _: self.keys_in_use()},
            "origin": {
                "GET": lambda _: self.origin.requests,
                "PUT": lambda _: self.origin.configure(),
                "DELETE": lambda _: self.origin.requests.clear(),
            },
        }

    def _attach(self, policy: "_SecretPolicy") -> None:
        with request_scope(self._account, self._region):
            attach(policy.secret, policy.name, policy.policy)

    def _health(self) -> dict[str, Any]:
        with request_scope(self._account, self._region):
            stack = cloudformation._stacks.get(self._stack) or {}
        deployed = stack.get("StackStatus") in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        return {"ready": self.ready, "stack": self._stack if deployed else None, "originUrl": self.origin.url}


def _object(body: bytes) -> dict[str, object]:
    parsed = json.loads(body)
    if not isinstance(parsed, dict):
        raise ValueError("the body must be a JSON object")
    return parsed


def _json(status: int, answer: Any) -> Response:
    return status, {"Content-Type": "application/json"}, json.dumps(answer).encode()
