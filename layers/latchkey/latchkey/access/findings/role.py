"""What is wrong with the reader role of an access. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.access.findings.circumstances import Circumstances
from latchkey.access.findings.finding import finding
from latchkey.access.findings.inventory import untagged
from latchkey.access.observed import ObservedAccess
from latchkey.aws.roles import ObservedRole
from latchkey.events.findings import Finding, FindingKind, Remediation, Severity
from latchkey.policies.reader_roles import POLICY_NAME, ReaderRole
from latchkey.tags import is_ours


def role_findings(
    desired: Desired, observed: ObservedAccess, circumstances: Circumstances, *, moved: bool
) -> Iterator[Finding]:
    """If the secret was `moved` to another key, the role cannot decrypt with it for that reason alone."""
    secret, role = observed.secret, observed.role
    wanted = desired.role(observed.key.arn, secret.arn) if secret else None
    if wanted is None:
        return
    if role is None:
        yield finding(FindingKind.ROLE_MISSING, f"{wanted.arn(desired.place)} does not exist")
        return
    own = [*_differences(role, wanted, desired, observed.refused)]
    if circumstances.recorded_at and role.created > circumstances.recorded_at:
        yield _replaced(desired, role, own, circumstances)
        return
    yield from own
    yield from untagged(role.arn, role.tags, desired.stack)
    if observed.refused and not own and not moved:
        yield finding(FindingKind.ROLE_CANNOT_READ, f"{role.arn} is not allowed {', '.join(observed.refused)}")


def _replaced(desired: Desired, role: ObservedRole, own: list[Finding], circumstances: Circumstances) -> Finding:
    """A role that was created again is one finding, whatever it lacks. Without our tag, Latchkey does not change it."""
    remediation: Remediation | None = None if is_ours(role.tags, desired.stack) else "tell"
    recorded = circumstances.recorded_at.isoformat() if circumstances.recorded_at else ""
    texts = [f"{role.arn} was created {role.created.isoformat()}, and the access was recorded {recorded}"]
    severity: Severity | None = "critical" if any(one.severity == "critical" for one in own) else None
    evidence = "; ".join([*texts, *(one.evidence for one in own)])
    return finding(FindingKind.ROLE_REPLACED, evidence, severity=severity, remediation=remediation)


def _differences(role: ObservedRole, wanted: ReaderRole, desired: Desired, refused: tuple[str, ...]) -> Iterator[Finding]:
    if not wanted.accepts_trust(role.trust):
        texts = "; ".join(policies.document_differences(role.trust, wanted.trust))
        yield finding(FindingKind.ROLE_TRUST_CHANGED, f"trust policy of {role.arn}: {texts}")
    if not policies.is_same(role.policy, wanted.policy):
        texts = "; ".join(policies.document_differences(role.policy, wanted.policy))
        yield finding(
            FindingKind.ROLE_POLICY_CHANGED,
            f"{POLICY_NAME} of {role.arn}: {texts}",
            severity=None if refused else "high",
            name="role may read the secret" if refused else None,
        )
    if role.boundary_arn != desired.reader_boundary_arn:
        evidence = f"boundary of {role.arn} is {role.boundary_arn or 'absent'} instead of {desired.reader_boundary_arn}"
        yield finding(FindingKind.ROLE_BOUNDARY_CHANGED, evidence)
    if role.others:
        evidence = f"{role.arn} also has {', '.join(sorted(role.others))}"
        name = "role may read the secret" if refused and policies.is_same(role.policy, wanted.policy) else None
        yield finding(FindingKind.ROLE_FOREIGN_POLICY, evidence, name=name)
