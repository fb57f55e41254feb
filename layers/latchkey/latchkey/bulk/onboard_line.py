"""Records the request of a line, starts its execution, and returns its result after the execution has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from latchkey.aws.executions import start_once
from latchkey.bulk.lines import LineResult, RequestLine, result_of
from latchkey.bulk.pacing import seconds_to_start
from latchkey.errors import NotYetEffective
from latchkey.registry import Registry
from latchkey.registry.incoming import execution_name, record_incoming
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient


class OnboardLineInput(RequestLine):
    """The request of a line. `reserved`: the time at which it starts has come.

    `started`: its execution was started, so its outcome is recorded, or will be.
    """

    reserved: bool = False
    started: bool = False


class OnboardedLine(WireModel):
    """The result of a line, or null until its execution has ended. It starts after `waitSeconds`."""

    result: LineResult | None
    wait_seconds: int = 0


def onboard_line(
    event: OnboardLineInput,
    registry: Registry,
    stepfunctions: SFNClient,
    state_machine_arn: str,
    raised_quotas: Mapping[str, float],
) -> OnboardedLine:
    """Reserves the start of a request, and then does what `receive_request` does, so that the same request sent as an event
    has the same outcome.

    The execution does not depend on the one of the bulk request: it ends even if that one is stopped. Raises NotYetEffective
    while an execution that was started has no outcome.
    """
    content = event.content
    outcome = registry.requests.outcome(content.ref)
    if outcome is None:
        content = record_incoming(content, content.event_id or content.request_id, state_machine_arn, registry)
        outcome = registry.requests.outcome(content.ref)
    if outcome is not None:
        return OnboardedLine(result=result_of(event.line, content.request_id, *outcome))
    if event.started:
        raise NotYetEffective(f"request {content.request_id} has no outcome yet")
    if not event.reserved:
        # A request that is only rejected calls no other service.
        system = content.request.system if content.request else None
        return OnboardedLine(
            result=None, waitSeconds=seconds_to_start(content.ref, system, raised_quotas, registry) if system else 0
        )
    start_once(stepfunctions, state_machine_arn, execution_name(content), content.model_dump_json(by_alias=True))
    return OnboardedLine(result=None)
