"""The rules for consent to the use of a secret, which its owner expresses with the tag `latchkey:consent`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from latchkey.aws.secrets import ObservedSecret
from latchkey.tags import CONSENT


def missing_consent(arn: str, consent: Literal["adopt", "import"] = "adopt") -> str:
    """The rule that a resource without consent breaks, with the tag that its owner has to add."""
    return f"not approved for use by Latchkey: add the tag {CONSENT}={consent} to {arn}"


def secret_rules(
    secret: ObservedSecret | None, arn: str, consent: Literal["adopt", "import"], *, is_own: bool = False
) -> Iterator[str]:
    """The rules that a secret breaks that a request adopts or imports by its ARN; `is_own` secrets need no consent.

    Secrets Manager also finds a secret by its ARN without the random suffix, which a name can end like. Services, policies and
    grants need the complete ARN: https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
    """
    if secret is None:
        yield "does not exist: name an existing secret by its full ARN"
        return
    if secret.arn != arn:
        yield f"is not the complete ARN of the secret: use {secret.arn}"
    if secret.is_being_deleted:
        yield "is scheduled for deletion: restore the secret, or name another one"
    if secret.owning_service:
        yield f"is managed by {secret.owning_service}, so no other service can change it: name another secret"
    if not is_own and secret.tags.get(CONSENT) != consent:
        yield missing_consent(secret.arn, consent)
