"""How a gap is closed: a function of MiniStack is wrapped where its callers look it up."""

import functools
import json
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from ministack.core.responses import error_response_json

from local_aws import authorize

type Around = Callable[..., Any]

_caller: ContextVar[authorize.Caller | None] = ContextVar("caller", default=None)


def wrap(module: ModuleType | type, name: str, around: Around) -> None:
    """Replaces `module.name` by `around(original, *args)`; doing it twice equals doing it once."""
    original = getattr(module, name)
    if around not in _layers(original):
        setattr(module, name, _wrapped(original, around))


def wrap_item(mapping: MutableMapping[str, Any], key: str, around: Around) -> None:
    """The same for a function that MiniStack keeps in a table."""
    if around not in _layers(mapping[key]):
        mapping[key] = _wrapped(mapping[key], around)


def current_caller() -> authorize.Caller | None:
    """The principal whose API request is being handled; None for calls made inside the process."""
    return _caller.get()


def remember_caller(module: ModuleType) -> None:
    """Lets the operations of a service see who called; ministack 1.5.33 hands them the body only."""
    wrap(module, "handle_request", _with_caller)


def refusal(code: str, message: str) -> Any:
    """An error answer in the JSON protocol."""
    return error_response_json(code, message, 400)


def body_of(response: Any) -> Any:
    """The JSON document of a MiniStack response, or None if it is an error."""
    status, _, body = response
    return json.loads(body) if status < 400 else None


async def _with_caller(
    original: Around, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
) -> Any:
    try:
        token = _caller.set(authorize.caller_of(headers))
    except authorize.UnknownCallerError:
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
