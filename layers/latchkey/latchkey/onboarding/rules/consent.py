"""What Latchkey made it may change; what others made, only while their owner consents by a tag that no function may set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from latchkey import policies
from latchkey.aws.keys import find_key, key_policy
from latchkey.aws.secrets import ObservedSecret, find_secret, secret_policy
from latchkey.tags import CONSENT, is_ours_or_consented

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

    from latchkey.access.record import AccessRecord


def secret_rules(secret: ObservedSecret | None, consent: Literal["adopt", "import"], *, is_own: bool = False) -> Iterator[str]:
    """Why a secret that a request names may not be adopted, or not be copied; one that `is_own` needs nobody's consent."""
    if secret is None:
        yield "does not exist"
        return
    if secret.is_being_deleted:
        yield "is being deleted"
    if secret.owning_service:
        yield f"is managed by {secret.owning_service}, which alone may change it"
    if not is_own and secret.tags.get(CONSENT) != consent:
        yield f"its owner has not consented, which the tag {CONSENT} = {consent} on {secret.arn} would do"


@dataclass(frozen=True)
class Withdrawal:
    """A key or secret of an access whose owner took the consent back; `left` are the Sids of our statements in its policy."""

    kind: Literal["key", "secret"]
    arn: str
    left: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.arn}: {', '.join(self.left) or 'no statement of ours'}"


def withdrawals(record: AccessRecord, kms: KMSClient, secretsmanager: SecretsManagerClient) -> Iterator[Withdrawal]:
    """What a recorded access uses without its owner's consent by now, with what Latchkey put there."""
    key = find_key(kms, record.key_arn)
    secret = find_secret(secretsmanager, record.secret_arn) if record.secret_arn else None
    if key is not None and not is_ours_or_consented(key.tags):
        yield Withdrawal("key", key.arn, _own_sids(key_policy(kms, key.arn)))
    if secret is not None and not is_ours_or_consented(secret.tags):
        yield Withdrawal("secret", secret.arn, _own_sids(secret_policy(secretsmanager, secret.arn)))


def _own_sids(document: policies.Document | None) -> tuple[str, ...]:
    return tuple(sorted(statement["Sid"] for statement in policies.own_statements(document)))
