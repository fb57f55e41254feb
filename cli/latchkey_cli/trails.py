"""Finds out whether CloudTrail sends to EventBridge the calls that start cleanups.

EventBridge receives a management event only if a trail in the Region logs it:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
Latchkey needs the events of calls that change something, those of KMS included, which a trail can exclude:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-management-events-with-cloudtrail.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

KMS = "kms.amazonaws.com"


@dataclass(frozen=True)
class Trails:
    """The names of the trails that log everything that is needed, and of those that cannot be read."""

    complete: tuple[str, ...]
    unreadable: tuple[str, ...]

    def report(self, region: str) -> str:
        """What a deployer must know about the trails of the Region."""
        needed = f"all write management events of {region}, KMS events included"
        if self.complete:
            return f"The trail {self.complete[0]} logs {needed}"
        lack = "Without such a trail, only the hourly sweep finds orphaned grants"
        if self.unreadable:
            unknown = f"because {', '.join(self.unreadable)} cannot be read"
            return f"Warning: it is unknown whether a trail logs {needed}, {unknown}. {lack}"
        return f"Warning: no trail logs {needed}. {lack}"


def main() -> None:
    """Prints whether a trail covers the Region of the credentials, and exits with 1 if none is known to."""
    session = boto3.Session()
    if session.region_name is None:
        raise SystemExit("No Region is set: set AWS_DEFAULT_REGION, or the Region of your profile")
    try:
        found = trails_of(session.client("cloudtrail"))
    except (BotoCoreError, ClientError) as error:
        raise SystemExit(f"The trails cannot be read: {error}") from None
    print(found.report(session.region_name))
    raise SystemExit(0 if found.complete else 1)


def trails_of(cloudtrail: Any) -> Trails:
    """The trails that cover the Region of the client. Trails of other Regions and of the organization count if they cover it.

    Raises ClientError if DescribeTrails is denied.
    """
    complete, unreadable = [], []
    # Without shadow trails, the trails of other Regions and of the organization would be missing.
    for trail in cloudtrail.describe_trails(includeShadowTrails=True)["trailList"]:
        try:
            if _is_complete(cloudtrail, trail["TrailARN"]):
                complete.append(trail["Name"])
        except ClientError:
            unreadable.append(trail["Name"])
    return Trails(tuple(complete), tuple(unreadable))


def _is_complete(cloudtrail: Any, arn: str) -> bool:
    if not cloudtrail.get_trail_status(Name=arn)["IsLogging"]:
        return False
    selectors = cloudtrail.get_event_selectors(TrailName=arn)
    basic, advanced = selectors.get("EventSelectors", ()), selectors.get("AdvancedEventSelectors", ())
    return any(map(_selects, basic)) or any(_selects_all(one["FieldSelectors"]) for one in advanced)


def _selects(selector: Mapping[str, Any]) -> bool:
    """Whether a basic event selector selects all write management events."""
    return bool(
        selector.get("IncludeManagementEvents", True)
        and selector.get("ReadWriteType", "All") in ("All", "WriteOnly")
        and KMS not in selector.get("ExcludeManagementEventSources", ())
    )


def _selects_all(fields: Iterable[Mapping[str, Any]]) -> bool:
    """Whether an advanced event selector selects all write management events. Every other condition could exclude one."""
    wanted = {("eventCategory", "Equals", ("Management",)), ("readOnly", "Equals", ("false",))}
    conditions = {
        (field["Field"], operator, tuple(values))
        for field in fields
        for operator, values in field.items()
        if operator != "Field" and values
    }
    return ("eventCategory", "Equals", ("Management",)) in conditions and conditions <= wanted


if __name__ == "__main__":
    main()
