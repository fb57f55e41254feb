"""Rules between stacks: of several stacks in one account and Region, each changes only what it created itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from latchkey.access.desired import Desired
from latchkey.errors import Problem
from latchkey.onboarding.rules.evidence import RequestEvidence
from latchkey.onboarding.rules.key import key_path
from latchkey.onboarding.rules.secret import EXISTING_PATH
from latchkey.tags import other_stack


def stack_problems(desired: Desired, evidence: RequestEvidence) -> Iterator[Problem]:
    """The parts of a request that another stack created. Consent does not help: that stack would undo the changes."""
    key, secret, role, resource = evidence.key.key, evidence.secret, evidence.role, evidence.resource
    if key is not None:
        yield from _problem(desired, key_path(desired), key.tags)
    if secret is not None:
        yield from _problem(desired, EXISTING_PATH if desired.existing_secret_arn else "secret.name", secret.secret.tags)
    if role is not None:
        yield from _problem(desired, "resource", role.role.tags)
    if resource is not None:
        yield from _problem(desired, "resource", resource.owner_tags)


def _problem(desired: Desired, path: str, tags: Mapping[str, str]) -> Iterator[Problem]:
    if creator := other_stack(tags, desired.stack):
        yield Problem(path, f"belongs to the Latchkey stack {creator}: send the request to that stack, or name another one")
