"""Checks a request: claims its id and its access, then gathers every problem before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator

from latchkey.access.desired import Desired, desire
from latchkey.errors import Conflict, InvalidRequest, Problem
from latchkey.onboarding.execution_input import ExecutionInput
from latchkey.onboarding.rules.consent import withdrawals
from latchkey.onboarding.rules.request_rules import RequestRules
from latchkey.requests.models import NOTHING_HANDED_OFF
from latchkey.wire import WireModel


class CheckRequestInput(ExecutionInput):
    """The input of an execution, its ARN, and the result of the value check: its findings, or that it was refused."""

    execution_arn: str
    findings: tuple[Problem, ...] = ()
    unreadable: bool = False


class OnboardingPlan(WireModel):
    """Facts on which the state machine branches. `keyArn` is known, and `changed` true, where a hand-off is confirmed."""

    access_id: str
    confirms: bool = False
    changed: bool = False
    needs_secret: bool
    has_resource: bool
    key_arn: str | None = None
    secret_arn: str | None


def check_request(event: CheckRequestInput, look: RequestRules) -> OnboardingPlan:
    """Claims the request id and the access, then raises InvalidRequest with every problem; at last refers to the secret."""
    problems, registry = {*event.problems, *event.findings}, look.registry
    try:
        registry.requests.claim(event.request_id, event.content_hash, event.execution_arn)
    except Conflict as error:
        raise InvalidRequest({*problems, Problem("requestId", str(error))}) from None
    if event.request is None:
        raise InvalidRequest(problems)
    desired = desire(event.request, look.settings)
    registry.locks.lock(desired.access_id, event.execution_arn)
    if event.confirms:
        return _handed_off(desired, look)
    if desired.reads_secret:
        registry.resources.await_removal(desired.secret_resource)
    problems.update(look.problems(desired))
    if event.unreadable and desired.request.secret.value.source_arn and not problems:
        rule = "the secret's value cannot be read, so its form is unknown: its key must let IAM decide on kms:Decrypt"
        problems.add(Problem("secret.value", rule))
    if problems:
        raise InvalidRequest({*problems, *_unmanaged(desired, look)})
    registry.locks.announce_request(desired.access_id, event.request.wire, event.execution_arn)
    if desired.reads_secret:
        registry.resources.refer(desired.secret_resource, desired.access_id)
    return OnboardingPlan(
        accessId=desired.access_id,
        needsSecret=desired.needs_secret,
        hasResource=desired.system.configuration is not None and not desired.hands_off,
        secretArn=desired.existing_secret_arn,
    )


def _handed_off(desired: Desired, look: RequestRules) -> OnboardingPlan:
    """What is recorded of an access that its owner says to have finished; nothing is made, so nothing else is asked."""
    record, wanted = look.registry.accesses.get(desired.access_id), look.registry.accesses.recorded_request(desired.access_id)
    if record is None or wanted is None:
        raise InvalidRequest([Problem("accessId", NOTHING_HANDED_OFF)])
    # Between the event and this execution another request may have ended.
    if {**wanted.wire, "requestId": ""} != {**desired.request.wire, "requestId": ""}:
        raise InvalidRequest([Problem("accessId", "has been changed by another request meanwhile: look, and confirm again")])
    return OnboardingPlan(
        accessId=desired.access_id,
        confirms=True,
        changed=record.status != "active",
        needsSecret=False,
        hasResource=False,
        keyArn=record.key_arn,
        secretArn=record.secret_arn,
    )


def _unmanaged(desired: Desired, look: RequestRules) -> Iterator[Problem]:
    """Gives up an access whose owner withdrew consent: nothing of it is changed any more, and what is left there is told."""
    record = look.registry.accesses.get(desired.access_id)
    if record is None:
        return
    withdrawn = [*withdrawals(record, look.kms, look.secretsmanager(desired.place.region))]
    if withdrawn:
        look.registry.accesses.mark_unmanaged(record, [str(withdrawal) for withdrawal in withdrawn])
    for withdrawal in withdrawn:
        rule = f"its owner withdrew consent, so {desired.access_id} is no longer managed; left on {withdrawal}"
        yield Problem(withdrawal.kind, rule)
