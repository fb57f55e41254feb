"""Events that Step Functions loses, and the time that passes until the sweep looks at what they were about."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from tests.workflow.onboarding import Onboarding

# Longer than the sweep leaves a lock to a request that can still run.
LONG_AGO = timedelta(hours=2, minutes=1)


@contextmanager
def lost_status_events(onboarding: Onboarding) -> Iterator[None]:
    """Step Functions sends the events of its executions best effort."""
    events = onboarding.aws.client("events")
    rule = next(rule["Name"] for rule in events.list_rules()["Rules"] if "OnboardingEnded" in rule["Name"])
    events.disable_rule(Name=rule)
    try:
        yield
    finally:
        events.enable_rule(Name=rule)


def date_lock_back(onboarding: Onboarding, access_id: str) -> None:
    """Dates the lock of an access back."""
    dynamodb = onboarding.aws.client("dynamodb")
    [table] = [name for name in dynamodb.list_tables()["TableNames"] if "AccessTable" in name]
    dynamodb.update_item(
        TableName=table,
        Key={"kind": {"S": "access"}, "id": {"S": access_id}},
        UpdateExpression="SET runningSince = :then",
        ExpressionAttributeValues={":then": {"N": str(int(time.time() - LONG_AGO.total_seconds()))}},
    )
