"""Counts of API calls by principal, service and operation."""

from collections import Counter
from typing import Any

from local_aws.emulator.api_calls import Call


class CallCounts:
    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, principal: str, call: Call) -> None:
        self.count(principal, call.service, call.operation)

    def count(self, principal: str, service: str, operation: str) -> None:
        self._counts[principal, service, operation] += 1

    def clear(self) -> None:
        self._counts.clear()

    def report(self) -> list[dict[str, Any]]:
        """Returns `principal`, `service`, `operation` and `count` of every kind of call, sorted."""
        names = ("principal", "service", "operation", "count")
        return [dict(zip(names, (*key, count), strict=True)) for key, count in sorted(self._counts.items())]
