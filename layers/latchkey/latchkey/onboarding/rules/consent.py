"""Consent: Latchkey changes what it created, and other resources only while they carry the tag `latchkey:consent`.

No function can set that tag.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.access.record import AccessRecord
from latchkey.aws.keys import ObservedKey
from latchkey.aws.secrets import ObservedSecret
from latchkey.onboarding.rules.evidence import ConsentEvidence
from latchkey.systems.system import Configured
from latchkey.tags import ACCESS, CONSENT, is_ours, is_ours_or_consented


def is_approved_key(key: ObservedKey, stack: str, *, recorded: bool) -> bool:
    """Whether Latchkey can use a key: its owner consented, or Latchkey created it.

    The tag alone does not prove that Latchkey created the key, because anybody who can tag keys can set it.
    """
    return key.tags.get(CONSENT) == "adopt" or is_own_key(key, stack, recorded=recorded)


def is_own_key(key: ObservedKey, stack: str, *, recorded: bool) -> bool:
    """Whether this stack created a key, by the registry and the tag."""
    return recorded and is_ours(key.tags, stack)


def was_created_for(desired: Desired, secret: ObservedSecret, *, referred: bool) -> bool:
    """Whether Latchkey created a secret for the access of this request, by the registry and the tags."""
    return referred and is_ours(secret.tags, desired.stack) and secret.tags.get(ACCESS) == desired.access_id


def needs_resource_consent(
    desired: Desired, configured: Configured, secret_arn: str | None, record: AccessRecord | None, *, referred: bool
) -> bool:
    """Whether the owner of a resource has to consent before Latchkey configures it to read the secret `secret_arn`.

    `referred` means that the registry has the resource as one that this access created. The record of an active access proves
    only that its owner accepted the present settings. A request that keeps these settings changes nothing but the grant.
    """
    is_recorded = referred or (record is not None and record.resource_arn == configured.arn)
    if is_recorded and is_ours(configured.tags, desired.stack) and configured.tags.get(ACCESS) == desired.access_id:
        return False
    configuration = desired.system.configuration
    if configuration is None or record is None or secret_arn is None or record.reached != "active":
        return True
    reads_recorded = configured.secret_arn == secret_arn == record.secret_arn
    return not reads_recorded or configured.settings != configuration.wanted(desired.resource, desired.reading("", secret_arn))


@dataclass(frozen=True)
class Withdrawal:
    """A key or secret of an access that is no longer approved; `remaining_sids` are our statements in its policy."""

    kind: Literal["key", "secret"]
    arn: str
    remaining_sids: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.arn}: {', '.join(self.remaining_sids) or 'no statement of Latchkey'}"


def withdrawals(evidence: ConsentEvidence, stack: str) -> Iterator[Withdrawal]:
    """The key and the secret of a recorded access whose owner has withdrawn consent."""
    key, secret = evidence.key, evidence.secret
    if key is not None and not is_ours_or_consented(key.tags, stack):
        yield Withdrawal("key", key.arn, _own_sids(evidence.key_policy))
    if secret is not None and not is_ours_or_consented(secret.tags, stack):
        yield Withdrawal("secret", secret.arn, _own_sids(evidence.secret_policy))


def _own_sids(document: policies.Document | None) -> tuple[str, ...]:
    return tuple(sorted(statement["Sid"] for statement in policies.own_statements(document)))
