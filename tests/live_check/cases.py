"""Every value of every switch of the embedded AWS, with the point that has to find it."""

import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from live_check.unsettled import SWITCHES
from local_aws.emulator.assumptions import Assumptions


@dataclass(frozen=True)
class Case:
    """A value of a switch. `others` are assumptions without which the question does not arise.

    A point that waits for nothing to happen waits for its time divided by `hurry`.
    """

    switch: str
    value: Any
    point: str
    others: dict[str, Any] = field(default_factory=dict)
    hurry: float = 400
    in_sample: bool = False

    def __str__(self) -> str:
        return f"{self.switch}={self.value} {self.point}"

    @property
    def assumptions(self) -> dict[str, Any]:
        name, _, member = self.switch.partition(".")
        return self.others | {name: {member: self.value} if member else self.value}

    def is_found(self, found: object) -> bool:
        """Returns whether a point found the value. A duration is at most that of the switch, because reads take time, too."""
        if not self.switch.endswith("Seconds"):
            return bool(found == self.value)
        at_most = self.value + 0.5 if self.value else 0
        return isinstance(found, float) and found <= at_most and (found > 0) == (self.value > 0)


_LATE = {"mediatailorRetires": "late", "lateSeconds": 4}
_KEPT = {"mediatailorRetires": "never"}
# With these, AWS's five minutes are three seconds, and the half hour for a retirement is 18.
_SLOW = 100

CASES = [
    Case("grantForm", "principal", "grant-form"),
    Case("grantForm", "service-principal", "grant-form", in_sample=True),
    Case("grantForm", "role", "grant-form", in_sample=True),
    Case("mediatailorRetires", "at-once", "retirement", in_sample=True),
    Case("mediatailorRetires", "late", "retirement", _LATE, hurry=_SLOW),
    Case("mediatailorRetires", "never", "retirement"),
    Case("lateSeconds", 4, "late-retirement", {"mediatailorRetires": "late"}, hurry=_SLOW),
    Case("lateRetiresReused", False, "reused-grant", _LATE, hurry=_SLOW),
    Case("lateRetiresReused", True, "reused-grant", _LATE, hurry=_SLOW),
    Case("recreatedGrant", "same-id", "recreated-grant", _KEPT),
    Case("recreatedGrant", "new-id", "recreated-grant", _KEPT, in_sample=True),
    Case("updateRetires", False, "update-retires"),
    Case("updateRetires", True, "update-retires", in_sample=True),
    Case("callerNeedsDecrypt", False, "caller-needs-decrypt"),
    Case("callerNeedsDecrypt", True, "caller-needs-decrypt", in_sample=True),
    Case("sourceAccountSent.mediatailor", False, "source-account"),
    Case("sourceAccountSent.mediatailor", True, "source-account", in_sample=True),
    Case("sourceAccountSent.mediapackage", False, "live-source-account"),
    Case("sourceAccountSent.mediapackage", True, "live-source-account"),
    Case("sourceAccountSent.mediapackage-vod", False, "vod-source-account"),
    Case("sourceAccountSent.mediapackage-vod", True, "vod-source-account"),
    Case("sourceAccountSent.mediapackagev2", False, "v2-source-account", in_sample=True),
    Case("sourceAccountSent.mediapackagev2", True, "v2-source-account"),
    Case("sourceAccountSent.mediaconnect", False, "flow-source-account"),
    Case("sourceAccountSent.mediaconnect", True, "flow-source-account"),
    Case("omittedOnPut", "keep", "omitted-access"),
    Case("omittedOnPut", "clear", "omitted-access", in_sample=True),
    Case("omittedOnPut", "keep", "endpoint-put"),
    Case("omittedOnPut", "clear", "endpoint-put"),
    Case("omittedOnFlowUpdate", "keep", "flow-update"),
    Case("omittedOnFlowUpdate", "clear", "flow-update", in_sample=True),
    Case("unchangedUpdateRenews", True, "unchanged-update"),
    Case("unchangedUpdateRenews", False, "unchanged-update", in_sample=True),
    Case("emptyAccess", "accept", "empty-access"),
    Case("emptyAccess", "refuse", "empty-access", in_sample=True),
    Case("emptyAccess", "keep", "empty-access"),
    Case("denialStatus", 403, "denial-status"),
    Case("denialStatus", 400, "denial-status", in_sample=True),
    Case("lockoutCountsTagConditions", True, "lockout-check"),
    Case("lockoutCountsTagConditions", False, "lockout-check", in_sample=True),
    Case("policyOrder", "shuffled", "policy-order"),
    Case("policyOrder", "kept", "policy-order", in_sample=True),
    Case("forcedDeletionSeconds", 0, "forced-deletion"),
    Case("forcedDeletionSeconds", 2, "forced-deletion", hurry=_SLOW),
    Case("sourcesFirst", True, "sources-first"),
    Case("sourcesFirst", False, "sources-first", in_sample=True),
    Case("missingStatus", 404, "missing-status"),
    Case("missingStatus", 400, "missing-status", in_sample=True),
    Case("trailMemberCase", "pascal", "trail-member-case"),
    Case("trailMemberCase", "camel", "trail-member-case", in_sample=True),
    Case("emptyPages", False, "empty-pages"),
    Case("emptyPages", True, "empty-pages", in_sample=True),
    Case("tagLagSeconds", 0, "tag-lag"),
    Case("tagLagSeconds", 2, "tag-lag", hurry=_SLOW),
    Case("grantLagSeconds", 0, "grant-lag"),
    Case("grantLagSeconds", 2, "grant-lag", hurry=_SLOW, in_sample=True),
    Case("locationLagSeconds", 0, "location-lag"),
    Case("locationLagSeconds", 0.6, "location-lag", hurry=_SLOW),
    Case("cdnAuthDelaySeconds", 0, "cdn-authorization-delay"),
    Case("cdnAuthDelaySeconds", 2, "cdn-authorization-delay", hurry=_SLOW),
]


def switches() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yields every switch that AWS can settle with its values: (True, False), those of a Literal, or () for a number."""
    for name, info in Assumptions.model_fields.items():
        switch = info.alias or name
        if switch in SWITCHES:
            continue
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            for inner, member in info.annotation.model_fields.items():
                yield f"{switch}.{member.alias or inner}", _values(member.annotation)
        else:
            yield switch, _values(info.annotation)


def _values(annotation: Any) -> tuple[Any, ...]:
    return (False, True) if annotation is bool else typing.get_args(annotation)
