"""What is wrong with a recorded access. Pure: one cause is one finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from latchkey.access.checks import is_moved, uses_secret
from latchkey.access.desired import Desired
from latchkey.access.findings.circumstances import Circumstances, Remains
from latchkey.access.findings.finding import finding
from latchkey.access.findings.grants import grant_findings
from latchkey.access.findings.inventory import without_resource
from latchkey.access.findings.key import key_findings
from latchkey.access.findings.resource import alert_finding, missing_resource, resource_findings
from latchkey.access.findings.role import role_findings
from latchkey.access.findings.secret import secret_findings
from latchkey.access.grants import serves
from latchkey.access.observed import ObservedAccess
from latchkey.access.record import AccessRecord
from latchkey.events.findings import Finding, FindingKind, Severity

# With these, the service ends its own grant, or the secret needs one on another key.
_END_THE_GRANT = frozenset(
    [
        FindingKind.SECRET_PENDING_DELETION,
        FindingKind.SECRET_UNDER_OTHER_KEY,
        FindingKind.SECRET_STATEMENT_MISSING,
        FindingKind.SECRET_STATEMENT_ALTERED,
        FindingKind.SECRET_POLICY_EXCLUDES_READER,
        FindingKind.RESOURCE_MISSING,
        FindingKind.RESOURCE_OTHER_SECRET,
        FindingKind.RESOURCE_NO_TOKEN,
    ]
)
_OF_RESOURCE = frozenset(
    [
        FindingKind.RESOURCE_OTHER_HEADER,
        FindingKind.RESOURCE_OTHER_BASE_URL,
        FindingKind.RESOURCE_OTHER_SETTING,
        FindingKind.GRANT_MISSING,
    ]
)


def findings_of_access(
    desired: Desired, observed: ObservedAccess, record: AccessRecord, circumstances: Circumstances
) -> tuple[Finding, ...]:
    """Everything that is wrong with an access whose key and secret exist, in the order of the checks.

    The resource and the grants of an access that its owner has not confirmed yet are not judged.
    """
    moved = is_moved(observed)
    found = [
        *key_findings(desired, observed, circumstances, moved=moved),
        *secret_findings(desired, observed, circumstances, moved=moved),
    ]
    if observed.secret and not observed.secret.is_being_deleted:
        found += role_findings(desired, observed, circumstances, moved=moved)
    if record.reached != "handed-off":
        found += resource_findings(desired, observed)
        found += _grants(desired, observed, {one.kind for one in found})
        if not any(one.severity == "critical" for one in found):
            found += alert_finding(observed)
    return narrowed(desired, found)


def findings_of_remains(desired: Desired, record: AccessRecord, remains: Remains) -> tuple[Finding, ...]:
    """What is wrong with an access whose key or secret does not exist."""
    if not any(remains.exists.values()) and not remains.resource_exists:
        return narrowed(desired, [without_resource(tuple(remains.exists))])
    return narrowed(desired, _of_remains(desired, record, remains))


def _of_remains(desired: Desired, record: AccessRecord, remains: Remains) -> Iterator[Finding]:
    if not remains.exists[record.key_arn]:
        # Its owner moved the secret before the key was deleted, and the service can still read.
        name = "key exists" if remains.moved else None
        severity: Severity | None = "high" if remains.moved else None
        yield finding(FindingKind.KEY_MISSING, f"{record.key_arn} does not exist", name=name, severity=severity)
    if record.secret_arn and not remains.exists[record.secret_arn]:
        if remains.replacement:
            evidence = f"{remains.replacement} has the name of {record.secret_arn}, which does not exist"
            yield finding(FindingKind.SECRET_REPLACED, evidence)
        else:
            yield finding(FindingKind.SECRET_MISSING, f"{record.secret_arn} does not exist")
    if remains.resource_exists is False and record.reached != "handed-off":
        yield missing_resource(desired)


def narrowed(desired: Desired, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings with what may be repaired for this access: nothing of a partner, and no resource of its owner."""
    if desired.system.key_is_exclusive:
        return tuple(one.model_copy(update={"remediation": "never"}) for one in findings)
    if not desired.hands_off:
        return tuple(findings)
    return tuple(
        one.model_copy(update={"remediation": "tell"}) if one.kind in _OF_RESOURCE and one.remediation == "repair" else one
        for one in findings
    )


def _grants(desired: Desired, observed: ObservedAccess, found: set[FindingKind]) -> Iterator[Finding]:
    secret, configured, resource_arn = observed.secret, observed.configured, desired.resource.arn(desired.place)
    if secret is None or resource_arn is None or (expected := desired.grant_for(secret.arn, resource_arn)) is None:
        return
    if configured is None or not uses_secret(configured, secret.arn):
        return
    own = [*grant_findings(expected, observed.grants, observed.key.arn)]
    unknown = any(one.kind is FindingKind.GRANT_UNKNOWN_PRINCIPAL for one in own)
    live = any(serves(grant, expected) for grant in observed.grants)
    if not live and not unknown and not found & _END_THE_GRANT:
        yield finding(FindingKind.GRANT_MISSING, f"{expected.name}: none on {observed.key.arn} for {secret.arn}")
    yield from own
