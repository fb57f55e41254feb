"""Wrappers around functions of MiniStack, set where the callers look the functions up."""

import functools
import json
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from ministack.core.responses import error_response_json

from local_aws.emulator import authorization

type Around = Callable[..., Any]

_caller: ContextVar[authorization.Caller | None] = ContextVar("caller", default=None)


def wrap(module: ModuleType | type, name: str, around: Around) -> None:
    """Replaces `module.name` by `around(original, *args)`. Wrapping with the same function again has no effect."""
    original = getattr(module, name)
    if around not in _layers(original):
        setattr(module, name, _wrapped(original, around))


def wrap_item(mapping: MutableMapping[str, Any], key: str, around: Around) -> None:
    """Does the same as `wrap` for a function in a mapping."""
    if around not in _layers(mapping[key]):
        mapping[key] = _wrapped(mapping[key], around)


def current_caller() -> authorization.Caller | None:
    """Returns the principal of the current API request, or None for a call from inside the process."""
    return _caller.get()


def remember_caller(module: ModuleType) -> None:
    """Makes `current_caller` available to the operations of a service. Gap: MiniStack only passes them the body."""
    wrap(module, "handle_request", _with_caller)


def error_response(code: str, message: str) -> Any:
    """Returns an error response in the JSON protocol."""
    return error_response_json(code, message, 400)


def body_of(response: Any) -> Any:
    """Returns the JSON document of a MiniStack response, or None for an error response."""
    status, _, body = response
    return json.loads(body) if status < 400 else None


async def _with_caller(
    original: Around, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
) -> Any:
    try:
        token = _caller.set(authorization.caller_of(headers))
    except authorization.UnknownCallerError:
        token = _caller.set(None)
    try:
        return await original(method, path, headers, body, query)
    finally:
        _caller.reset(token)


def _wrapped(original: Around, around: Around) -> Around:
    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    wrapped.layers = (*_layers(original), around)  # type: ignore[attr-defined]
    return wrapped


def _layers(function: Around) -> tuple[Around, ...]:
    layers: tuple[Around, ...] = getattr(function, "layers", ())
    return layers
