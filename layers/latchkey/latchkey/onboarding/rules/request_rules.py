"""All rules of a request, evaluated together so that a sender sees every problem at once."""

from __future__ import annotations

from collections.abc import Iterator

from latchkey.access.bounds import Bounds, bounds_problems
from latchkey.access.desired import Desired
from latchkey.errors import Problem
from latchkey.onboarding.rules.denials import FunctionRoles
from latchkey.onboarding.rules.evidence import RequestEvidence
from latchkey.onboarding.rules.key import key_problems
from latchkey.onboarding.rules.move import move_problems
from latchkey.onboarding.rules.other_secrets import other_secret_problems
from latchkey.onboarding.rules.principals import partner_problems, principal_problems
from latchkey.onboarding.rules.resource import host_problems, resource_problems, role_problems
from latchkey.onboarding.rules.secret import secret_problems, source_problems


def request_problems(desired: Desired, evidence: RequestEvidence, bounds: Bounds, roles: FunctionRoles) -> Iterator[Problem]:
    """Every problem with a request, in no particular order."""
    settings = bounds.settings
    yield from bounds_problems(desired, bounds)
    yield from principal_problems(desired, evidence, bounds)
    yield from partner_problems(desired, evidence, settings)
    yield from role_problems(desired, evidence)
    yield from key_problems(desired, evidence, settings, roles)
    yield from move_problems(desired, evidence)
    yield from secret_problems(desired, evidence, settings, roles)
    yield from source_problems(desired, evidence)
    yield from host_problems(desired, evidence, bounds)
    yield from resource_problems(desired, evidence, settings)
    yield from other_secret_problems(desired, evidence, settings)
