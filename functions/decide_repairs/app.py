"""Decides which accesses a reconciliation repairs."""

from latchkey.aws.data_bucket import DataBucket
from latchkey.handler import step
from latchkey.observability import emit_current_number
from latchkey.reconciliation.decide_repairs import DecidedRepairs, DecideRepairsInput, decide_repairs
from latchkey.registry import registry
from latchkey.settings import settings


@step(DecideRepairsInput)
def lambda_handler(event: DecideRepairsInput) -> DecidedRepairs:
    """Writes the inputs of the repairs, and emits the metrics that the alarms and the dashboard use."""
    known = settings()
    decided = decide_repairs(event, registry(), DataBucket(known.data_bucket), known.max_repairs)
    # The numbers of a part would hide those of the whole.
    for name, value in {"RepairStorm": int(decided.storm), "FlappingFindings": decided.flapping}.items():
        if value or event.is_whole:
            emit_current_number(name, value)
    if event.is_whole:
        for kind, number in decided.findings.items():
            emit_current_number("Findings", number, kind=kind)
    return decided
