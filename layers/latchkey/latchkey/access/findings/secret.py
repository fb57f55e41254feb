"""What is wrong with the secret of an access and with its resource policy. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.access.findings.circumstances import Circumstances
from latchkey.access.findings.finding import finding
from latchkey.access.findings.inventory import untagged
from latchkey.access.findings.key import deleted_principals
from latchkey.access.findings.statements import StatementKinds, statement_findings
from latchkey.access.observed import ObservedAccess
from latchkey.aws.secrets import ObservedSecret
from latchkey.events.findings import Finding, FindingKind
from latchkey.policies import Document
from latchkey.systems.readers import ServicePrincipal
from latchkey.tags import is_ours

_READ = "secretsmanager:GetSecretValue"
_READER = "secret policy admits the reader"
_MISSING, _ALTERED = FindingKind.SECRET_STATEMENT_MISSING, FindingKind.SECRET_STATEMENT_ALTERED


def secret_findings(
    desired: Desired, observed: ObservedAccess, circumstances: Circumstances, *, moved: bool
) -> Iterator[Finding]:
    """The policy and the value of a secret that is scheduled for deletion cannot be read, so nothing else is found then."""
    secret = observed.secret
    if secret is None:
        return
    if secret.is_being_deleted:
        yield finding(FindingKind.SECRET_PENDING_DELETION, f"{secret.arn} is scheduled for deletion")
        return
    if moved or secret.kms_key_id != observed.key.arn:
        keys = f"uses {secret.kms_key_id or 'aws/secretsmanager'}, its current version {', '.join(observed.secret_keys)}"
        yield finding(FindingKind.SECRET_UNDER_OTHER_KEY, f"{secret.arn} {keys}, instead of {observed.key.arn}")
    yield from untagged(secret.arn, secret.tags, desired.stack)
    if circumstances.value_problem:
        yield finding(FindingKind.SECRET_WRONG_SHAPE, f"{secret.arn}: {circumstances.value_problem}")
    for replica in secret.replicas:
        if replica.status == "Failed":
            evidence = f"{secret.arn} in {replica.region} is {replica.status}: {replica.message or 'no reason is given'}"
            yield finding(FindingKind.SECRET_REPLICA_DIVERGED, evidence)
    yield from secret_policy_findings(desired, secret, observed.secret_policy, circumstances)


def secret_policy_findings(
    desired: Desired, secret: ObservedSecret, policy: Document | None, circumstances: Circumstances
) -> Iterator[Finding]:
    """Findings about the resource policy of a secret that is not being deleted."""
    public = policies.broad_statements(policy)
    reader, own = desired.system.reader, desired.service_statements(secret.arn)
    admitted = not isinstance(reader, ServicePrincipal) or policies.admits_service(policy, reader.principal, _READ, secret.arn)
    others = desired.secret_statements_by_principal(secret.arn)
    by_check = {_READER: own} | {f"secret policy admits the {name}": statements for name, statements in others.items()}
    # A statement of ours that allows everyone is one finding, and no merge narrows it.
    by_check = {name: tuple(one for one in held if one["Sid"] not in public) for name, held in by_check.items()}
    kinds = StatementKinds(_MISSING, _ALTERED, () if admitted else (_READER,))
    found = [*statement_findings(policy, by_check, kinds)]
    yield from found
    if isinstance(reader, ServicePrincipal) and not admitted and not any(one.name == _READER for one in found):
        denying = policies.denying_statements(policy, reader.principal, _READ, secret.arn)
        yield finding(FindingKind.SECRET_POLICY_EXCLUDES_READER, f"{', '.join(denying)} denies {reader.principal}")
    if public:
        yield finding(FindingKind.SECRET_POLICY_PUBLIC, f"{', '.join(public)} allows everyone")
    if is_ours(secret.tags, desired.stack):
        yield from _others(desired, secret.arn, policy, circumstances)
    if policy:
        yield from deleted_principals(FindingKind.SECRET_POLICY_DELETED_PRINCIPAL, policy)


def _others(desired: Desired, secret_arn: str, policy: Document | None, circumstances: Circumstances) -> Iterator[Finding]:
    """Who can read a secret that Latchkey created, and is named neither by this request nor by that of another access."""
    found = [f"{name} admits {', '.join(names)}" for name, names in policies.foreign_readers(policy, _READ, secret_arn).items()]
    if circumstances.asked is not None:
        known = policies.union([desired.secret_statements(secret_arn), circumstances.asked])
        public = policies.broad_statements(policy)
        for statement in policies.beyond(policy, known):
            if statement["Sid"] not in public:
                found.append(f"{statement['Sid']} also admits {', '.join(policies.principals_in(statement))}")
    if found:
        yield finding(FindingKind.SECRET_POLICY_ADMITS_OTHERS, "; ".join(found))
