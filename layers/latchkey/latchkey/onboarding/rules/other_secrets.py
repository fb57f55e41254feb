"""Rules for the secrets of others that a resource continues to accept: its reader role must be able to read all of them."""

from __future__ import annotations

from collections.abc import Iterator

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.errors import Problem
from latchkey.onboarding.rules.denials import reading_denials
from latchkey.onboarding.rules.evidence import FormerSecretEvidence, RequestEvidence
from latchkey.settings import Settings

_REMEDY = "or set secret.replacesToken to remove it"


def is_local(desired: Desired, secret_arn: str) -> bool:
    """Whether a secret is in the account and Region of the stack."""
    return secret_arn.startswith(desired.place.arn("secretsmanager", "secret:"))


def other_secret_problems(desired: Desired, evidence: RequestEvidence, settings: Settings) -> Iterator[Problem]:
    """Every other secret is one that the reader role can read."""
    for index, arn in enumerate(desired.resource.other_secret_arns):
        rule = _excluded_rule(desired, arn, settings) or _unreadable_rule(desired, evidence.other_secrets.get(arn))
        if rule:
            yield Problem(f"resource.otherSecrets.{index}", rule)


def _excluded_rule(desired: Desired, arn: str, settings: Settings) -> str | None:
    """Why the role can read no secret with this ARN."""
    if not is_local(desired, arn):
        return f"must be in account {desired.place.account} and Region {desired.place.region}: name another secret, {_REMEDY}"
    if desired.is_secret(arn):
        return "is the secret of the request: leave it out"
    prefixes = (settings.secret_prefix, settings.adopted_secret_prefix)
    if not arn.split(":", 6)[6].startswith(prefixes):
        rule = f"must have a name that begins with {' or '.join(prefixes)}, so that the role can read it"
        return f"{rule}: change the stack parameter AdoptedSecretPrefix, {_REMEDY}"
    return None


def _unreadable_rule(desired: Desired, found: FormerSecretEvidence | None) -> str | None:
    """Why the role cannot read this secret, by the policies of the secret and of its key."""
    if found is None:
        return f"does not exist: name an existing secret by its full ARN, {_REMEDY}"
    if found.hidden:
        roles = desired.place.arn("iam", f"role/{desired.stack}-*", region="")
        return f"cannot be read, because AWS denies it: exempt {roles} in the Deny statements of its policy, {_REMEDY}"
    if denials := reading_denials(desired, found.policy, found.arn):
        return f"has a policy that denies the reader role: exempt this role in {', '.join(denials)}, {_REMEDY}"
    if found.hidden_key or (found.key_policy is not None and not policies.delegates_to_iam(found.key_policy, desired.place)):
        root = desired.place.arn("iam", "root", region="")
        return f"is under {found.key_arn}, whose policy does not delegate to IAM: allow kms:* on * to {root}, {_REMEDY}"
    return None
