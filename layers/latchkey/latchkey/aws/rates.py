"""How many calls per second AWS accepts in an account and Region: the quotas that many onboardings at once would exceed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Quota:
    """A quota in calls per second for operations of a service together, and the most calls of one onboarding that it counts.

    Without `operations`, it is the quota of all operations of the service. A test counts the calls of onboardings.
    """

    name: str
    service: str
    per_second: float
    calls: int
    operations: frozenset[str] = frozenset()

    def counts(self, service: str, operation: str) -> bool:
        """Whether the quota counts an operation."""
        return service == self.service and (not self.operations or operation in self.operations)


_POLICY_OPERATIONS = frozenset(["GetResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy", "ValidateResourcePolicy"])
# Of the services that every onboarding calls. The other quotas are facts of the systems.
# https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
COMMON = (
    Quota("kms-create-key", "kms", 5, 1, frozenset(["CreateKey"])),
    Quota("kms-create-alias", "kms", 5, 1, frozenset(["CreateAlias"])),
    Quota("kms-put-key-policy", "kms", 15, 1, frozenset(["PutKeyPolicy"])),
    Quota("secretsmanager-policies", "secretsmanager", 50, 6, _POLICY_OPERATIONS),
)


def durations(quotas: Iterable[Quota], raised: Mapping[str, float]) -> Iterator[tuple[Quota, float]]:
    """For how many seconds one onboarding uses up each quota. `raised` are those that AWS has raised, by name."""
    return ((quota, quota.calls / raised.get(quota.name, quota.per_second)) for quota in quotas)
