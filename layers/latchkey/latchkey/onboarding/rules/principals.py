"""Rules for the IAM principals and the partner accounts that a request names."""

from __future__ import annotations

from collections.abc import Iterator

from latchkey.access.bounds import Bounds, is_in_account, principal_rule
from latchkey.access.desired import Desired, desire
from latchkey.errors import Problem
from latchkey.onboarding.rules.evidence import RequestEvidence
from latchkey.settings import Settings

USERS_PATH = "key.users"


def principal_problems(desired: Desired, evidence: RequestEvidence, bounds: Bounds) -> Iterator[Problem]:
    """Every principal that `bounds_problems` allows must exist, and must be able to do what the request names it for."""
    for path, arns in desired.request.principals.items():
        for index, arn in enumerate(arns):
            rule = None if principal_rule(arn, bounds) else _broken_rule(desired, path, arn, evidence, bounds.settings)
            if rule:
                yield Problem(f"{path}.{index}", rule)


def _broken_rule(desired: Desired, path: str, arn: str, evidence: RequestEvidence, settings: Settings) -> str | None:
    if not is_in_account(arn, settings):
        # IAM does not describe principals of other accounts, so the stack parameters alone decide. A key that is given to a
        # partner is used by the partner's own statements and this account only.
        is_foreign = desired.system.key_is_exclusive
        rule = f"must belong to account {settings.place.account}: name a principal of this account"
        return f"{arn} {rule}" if is_foreign else None
    found = evidence.principals.get(arn)
    if found is None or found.found_arn is None:
        return f"{arn} does not exist in IAM: create it, or correct the ARN"
    if found.found_arn != arn:
        return f"{arn} does not exist under this path: name it as {found.found_arn}"
    if path == USERS_PATH and found.denied_actions:
        actions = ", ".join(found.denied_actions)
        return f"{arn} cannot use the key because its own policies deny {actions}: allow these, or name another user"
    return None


def partner_problems(desired: Desired, evidence: RequestEvidence, settings: Settings) -> Iterator[Problem]:
    """A partner account is in the partition of the stack, and no request takes the key away from one."""
    partition = desired.place.partition
    for index, statement in enumerate(desired.resource.partners):
        path = f"resource.partnerStatements.{index}.Principal.AWS"
        if not statement.principal.startswith(f"arn:{partition}:"):
            yield Problem(path, f"must be in the partition {partition}: copy the statement for this partition")
    if desired.resource.partners and evidence.recorded_request is not None:
        recorded = {
            statement.account for statement in desire(evidence.recorded_request, settings, desired.tenant).resource.partners
        }
        removed = recorded - {statement.account for statement in desired.resource.partners}
        if removed:
            rule = f"lacks {', '.join(sorted(removed))}, which already has the key: add the statement of every such account"
            yield Problem("resource.partnerStatements", rule)
