"""What is wrong with the key of an access. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.access.findings.circumstances import Circumstances
from latchkey.access.findings.finding import finding
from latchkey.access.findings.inventory import untagged
from latchkey.access.findings.statements import StatementKinds, statement_findings
from latchkey.access.observed import ObservedAccess
from latchkey.events.findings import Finding, FindingKind, Severity
from latchkey.tags import MANAGED_BY

_PENDING = frozenset(["PendingDeletion", "PendingReplicaDeletion"])
_KINDS = StatementKinds(FindingKind.KEY_STATEMENT_MISSING, FindingKind.KEY_STATEMENT_ALTERED)


def key_findings(desired: Desired, observed: ObservedAccess, circumstances: Circumstances, *, moved: bool) -> Iterator[Finding]:
    """If the secret was `moved` to another key, the policy of this one does not matter."""
    key = observed.key
    if key.state in _PENDING:
        yield finding(FindingKind.KEY_PENDING_DELETION, f"{key.arn} is {key.state}")
    elif key.state != "Enabled":
        yield finding(FindingKind.KEY_DISABLED, f"{key.arn} is {key.state}")
    else:
        # KMS reports no rotation of a key that is not enabled.
        yield from _rotation(desired, observed)
    yield from untagged(key.arn, key.tags, desired.stack)
    yield from _alias(desired, key.arn, circumstances)
    if not moved:
        yield from key_policy_findings(desired, observed.key_policy)


def key_policy_findings(desired: Desired, policy: policies.Document) -> Iterator[Finding]:
    """Findings about the policy of the key, which a read of the policy alone decides."""
    by_check = {f"key policy admits the {name}": held for name, held in desired.key_statements_by_principal.items()}
    lost = by_check.keys() if desired.system.reader.is_in_key_policy else ()
    kinds = StatementKinds(_KINDS.missing, _KINDS.altered, lost)
    if not policies.delegates_to_iam(policy, desired.place):
        root = desired.place.arn("iam", "root", region="")
        severity: Severity | None = None if desired.has_role else "high"
        name = None if desired.has_role else "key policy delegates to IAM"
        evidence = f"no statement without a condition allows kms:* on * to {root}"
        yield finding(FindingKind.KEY_POLICY_NOT_DELEGATING, evidence, name=name, severity=severity)
    yield from statement_findings(policy, by_check, kinds)
    yield from _outdated(desired, policy)
    yield from deleted_principals(FindingKind.KEY_POLICY_DELETED_PRINCIPAL, policy)


def deleted_principals(kind: FindingKind, policy: policies.Document) -> Iterator[Finding]:
    """AWS rejects every update of a policy that names a deleted principal, also those of Latchkey."""
    if deleted := policies.deleted_principals(policy):
        yield finding(kind, "; ".join(f"{', '.join(ids)} in {statement}" for statement, ids in deleted.items()))


def _rotation(desired: Desired, observed: ObservedAccess) -> Iterator[Finding]:
    """Only the rotation of a key that Latchkey created. The owner decides about any other."""
    days, wanted = observed.rotation_days, desired.request.key.wanted_rotation_days
    if MANAGED_BY not in observed.key.tags:
        return
    if days is None:
        yield finding(FindingKind.KEY_ROTATION_OFF, f"the rotation of {observed.key.arn} is off")
    elif wanted not in (None, days):
        evidence = f"{observed.key.arn} rotates every {days} days, and the request asks for {wanted}"
        yield finding(FindingKind.KEY_ROTATION_PERIOD, evidence)


def _alias(desired: Desired, key_arn: str, circumstances: Circumstances) -> Iterator[Finding]:
    if desired.alias is None or circumstances.aliases is None or desired.alias in circumstances.aliases:
        return
    target = circumstances.alias_target
    now = f"names {target}" if target else "does not exist"
    yield finding(FindingKind.KEY_ALIAS_MOVED, f"{desired.alias} {now} instead of {key_arn}")


def _outdated(desired: Desired, policy: policies.Document) -> Iterator[Finding]:
    """Our statements in a form that an earlier version wrote: what the access needs is there, and the present form is not."""
    sids = [*policies.missing_from(policy, desired.key_statements)]
    needed = [statement for statement in desired.needed_key_statements if statement["Sid"] in sids]
    lacking = {*policies.missing_from(policy, needed)}
    for statement in desired.key_statements:
        if statement["Sid"] in sids and statement["Sid"] not in lacking:
            present = [one for one in policies.own_statements(policy) if one["Sid"] == statement["Sid"]]
            texts = min((policies.differences(one, statement) for one in present), key=len)
            yield finding(FindingKind.KEY_STATEMENT_OUTDATED, f"{statement['Sid']}: {'; '.join(texts)}")
