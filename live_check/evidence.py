"""The AWS calls of a point as evidence: time, names in the request, status, error code and request id. No value of a secret."""

import itertools
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

_ACCOUNT = "123456789012"
# Members of requests that can hold a secret value, or a document that is longer than its use as evidence.
_OMITTED = re.compile(r"(?i)secretstring|secretbinary|plaintext|password|token$|^policy$|templatebody|ciphertext")


@dataclass(frozen=True)
class AwsCall:
    """One call and its answer. `error` is the error code, or an empty string."""

    at: str
    service: str
    operation: str
    request: Mapping[str, Any]
    status: int
    error: str
    message: str
    request_id: str

    def equals(self, other: "AwsCall") -> bool:
        """Returns whether both calls had the same request and the same answer, apart from their times and request ids."""
        return replace(self, at="", request_id="") == replace(other, at="", request_id="")

    def as_json(self) -> dict[str, Any]:
        members = {name: value for name, value in asdict(self).items() if value not in ("", None, {})}
        return {"requestId" if name == "request_id" else name: value for name, value in members.items()}


@dataclass
class Evidence:
    """The calls of one point, in the order of their answers."""

    calls: list[AwsCall] = field(default_factory=list)

    def as_json(self) -> list[dict[str, Any]]:
        """Returns the calls. Of equal calls in a row, only the first and the last are returned, with their number."""
        rows: list[dict[str, Any]] = []
        for _, group in itertools.groupby(self._runs(), key=lambda numbered: numbered[0]):
            calls = [call for _, call in group]
            rows.append(calls[0].as_json())
            if len(calls) > 1:
                rows.append(calls[-1].as_json() | {"times": len(calls)})
        return rows

    def _runs(self) -> Iterator[tuple[int, AwsCall]]:
        """Yields each call with the number of its row of equal calls."""
        number = 0
        for position, call in enumerate(self.calls):
            if position and not call.equals(self.calls[position - 1]):
                number += 1
            yield number, call


_CURRENT: ContextVar[Evidence | None] = ContextVar("evidence", default=None)


def collect() -> Evidence:
    """Makes calls of the current thread evidence from now on, and returns where they are added."""
    evidence = Evidence()
    _CURRENT.set(evidence)
    return evidence


def observe(client: Any) -> Any:
    """Adds the calls of a boto3 client to the evidence of the thread that makes them. Returns the client."""
    client.meta.events.register("before-parameter-build", _remember)
    client.meta.events.register("after-call", _add)
    return client


def _remember(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
    context["live_check_request"] = _shown(params)


def _add(http_response: Any, parsed: Mapping[str, Any], model: Any, context: Mapping[str, Any], **_: Any) -> None:
    evidence = _CURRENT.get()
    if evidence is None:
        return
    metadata, error = parsed.get("ResponseMetadata", {}), parsed.get("Error", {})
    evidence.calls.append(
        AwsCall(
            at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            service=model.service_model.service_name,
            operation=model.name,
            request=context.get("live_check_request", {}),
            status=http_response.status_code,
            error=error.get("Code", "") if http_response.status_code >= 300 else "",
            message=error.get("Message", "") if http_response.status_code >= 300 else "",
            request_id=metadata.get("RequestId", ""),
        )
    )


def _shown(value: Any, name: str = "") -> Any:
    if name and _OMITTED.search(name):
        return "(omitted)"
    if isinstance(value, Mapping):
        return {str(key): _shown(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def masked(value: Any, account: str) -> Any:
    """Returns a JSON value in which the account is 123456789012, in names and ARNs, too, and other accounts are zeros.

    Principal ids such as AROA… are removed, because they identify a role.
    """
    if isinstance(value, Mapping):
        return {masked(key, account): masked(inner, account) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner, account) for inner in value]
    if not isinstance(value, str):
        return value
    text = re.sub(r"(?<!\d)\d{12}(?!\d)", lambda found: _ACCOUNT if found[0] == account else "0" * 12, value)
    return re.sub(r"\b(AROA|AIDA|AKIA|ASIA)[A-Z0-9]{12,}\b", r"\1…", text)
