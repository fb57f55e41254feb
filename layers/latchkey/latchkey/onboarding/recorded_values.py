"""Checks the values of recorded secrets: the part of create_secret that a reconciliation uses."""

from __future__ import annotations

from latchkey.access.desired import desire
from latchkey.aws.errors import aws_errors
from latchkey.errors import LatchkeyError
from latchkey.events.findings import CheckedValue
from latchkey.observability import logger
from latchkey.onboarding.secret_values import ClientOfRegion, recorded_value
from latchkey.registry import Registry
from latchkey.settings import Settings
from latchkey.wire import WireModel


class CheckValuesInput(WireModel):
    """The recorded accesses whose secrets have a version that was not checked yet."""

    checked_accesses: tuple[str, ...]


class CheckedValues(WireModel):
    """The verdicts. An access whose value cannot be read has none."""

    values: tuple[CheckedValue, ...]


def check_values(
    event: CheckValuesInput, settings: Settings, registry: Registry, client_of_region: ClientOfRegion
) -> CheckedValues:
    """Reads each value, and returns only whether it has the format that its service reads.

    The registry says which secret that is, and not the input. One that cannot be read holds up no other one.
    """
    verdicts = []
    for access_id in event.checked_accesses:
        try:
            with aws_errors():
                verdicts.append(_verdict(access_id, settings, registry, client_of_region))
        except LatchkeyError as error:
            logger.warning("value not read", access_id=access_id, error=type(error).__name__)
    return CheckedValues(values=tuple(filter(None, verdicts)))


def _verdict(access_id: str, settings: Settings, registry: Registry, client_of_region: ClientOfRegion) -> CheckedValue | None:
    record, request = registry.accesses.get(access_id), registry.accesses.recorded_request(access_id)
    if record is None or request is None or record.secret_arn is None:
        return None
    desired = desire(request, settings, record.tenant)
    return recorded_value(desired, record.secret_arn, client_of_region(desired.place.region))
