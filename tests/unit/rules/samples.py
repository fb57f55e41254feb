"""Evidence about keys, secrets and resources for the tests of the rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.access.record import AccessRecord
from latchkey.aws.keys import ObservedKey
from latchkey.aws.secrets import ObservedSecret
from latchkey.errors import Problem
from latchkey.onboarding.rules.evidence import KeyEvidence, SecretEvidence
from latchkey.policies import Document
from latchkey.systems.system import Configured
from latchkey.tags import ACCESS, CONSENT, MANAGED_BY, OURS
from tests.unit.samples import KEY_ARN, PLACE, SECRET_ARN

ADOPT = {CONSENT: "adopt"}
OWN = {MANAGED_BY: OURS}
NEWS, SPORTS = "mediatailor/sourceLocation/news-origin", "mediatailor/sourceLocation/sports-origin"
ADOBE = "adobe-experience-platform"
OTHER_KEY_ARN = PLACE.arn("kms", "key/other")


def paths(problems: Iterable[Problem]) -> list[str]:
    """The paths of problems, sorted."""
    return [path for path, _ in sorted(rules(problems))]


def rules(problems: Iterable[Problem]) -> list[tuple[str, str]]:
    """Problems as pairs of path and rule."""
    return [(problem.path, problem.rule) for problem in problems]


def key(tags: dict[str, str] | None = None, **members: Any) -> ObservedKey:
    """An enabled symmetric key, created by Latchkey unless other tags are given."""
    facts: dict[str, Any] = {
        "arn": KEY_ARN,
        "state": "Enabled",
        "spec": "SYMMETRIC_DEFAULT",
        "usage": "ENCRYPT_DECRYPT",
        "origin": "AWS_KMS",
        "multi_region": False,
        "customer_managed": True,
        "created": datetime(2026, 11, 22, tzinfo=UTC),
    }
    return ObservedKey(**facts | members, tags=OWN if tags is None else tags)


def key_policy(*statements: dict[str, Any]) -> Document:
    """A key policy that delegates to IAM."""
    return policies.new_document([policies.delegation(PLACE), *statements])


def key_evidence(found: ObservedKey | None = None, policy: Document | None = None, **members: Any) -> KeyEvidence:
    """A key with a policy that delegates to IAM, used by this access only."""
    return KeyEvidence(**{"recorded": True} | members, key=found or key(), policy=policy or key_policy())


def secret(tags: dict[str, str] | None = None, **members: Any) -> ObservedSecret:
    """A secret under the default key, created by Latchkey for the access of the sample request unless other tags are given."""
    facts: dict[str, Any] = {
        "arn": SECRET_ARN,
        "name": "latchkey/mediatailor/sports-origin/token",
        "kms_key_id": None,
        "is_being_deleted": False,
        "owning_service": None,
        "stages": {"version": ["AWSCURRENT"]},
    }
    return ObservedSecret(**facts | members, tags=OWN | {ACCESS: SPORTS} if tags is None else tags)


def secret_evidence(found: ObservedSecret | None = None, **members: Any) -> SecretEvidence:
    """A secret that this access refers to and no other one uses."""
    found = found or secret()
    under = key(arn=found.kms_key_id) if found.kms_key_id else None
    return SecretEvidence(**{"secret": found, "key_arn": found.kms_key_id, "key": under, "referred": True} | members)


def configured(
    desired: Desired, secret_arn: str | None = None, tags: dict[str, str] | None = None, **settings: str
) -> Configured:
    """A source location that has the base URL of the request."""
    shown = {"baseUrl": getattr(desired.resource, "base_url", "")} | settings
    return Configured(PLACE.arn("mediatailor", "sourceLocation/sports-origin"), shown, secret_arn, {}, {}, tags or {})


def record(key_arn: str = KEY_ARN, secret_arn: str | None = SECRET_ARN, access_id: str = SPORTS) -> AccessRecord:
    """The record of an active access."""
    system = access_id.split("/", 1)[0]
    return AccessRecord(access_id, system, "active", "request-0", key_arn, secret_arn, None, version=1)
