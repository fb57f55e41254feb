"""Checks of the principals that can use the key and the secret of an access besides its service, and of the reader role. Pure.

The service can still read when such a principal loses its statement, so a failed check is a finding and does not revoke the
access.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.events.outcomes import Check
from latchkey.policies import Document
from latchkey.systems.readers import ServicePrincipal


def key_principal_checks(desired: Desired, key_policy: Document, *, moved: bool) -> Iterator[Check]:
    """One check for the roles that configure the resource, and one for each other kind of principal that the request names.

    A partner uses the key through its policy alone. If the secret was `moved` to another key, this policy does not matter.
    """
    for name, statements in desired.key_statements_by_principal.items():
        missing = policies.missing_from(key_policy, statements)
        revokes = desired.system.reader.is_in_key_policy and not moved
        evidence = missing_evidence(key_policy, missing)
        finding = not moved and not revokes
        yield Check(f"key policy admits the {name}", not missing, evidence, overwritten=True, revokes=revokes, finding=finding)


def secret_principal_checks(desired: Desired, policy: Document | None, secret_arn: str, *, changeable: bool) -> Iterator[Check]:
    """One check for each kind of principal that the request names. Policies of secrets that are being deleted do not change."""
    for name, statements in desired.secret_statements_by_principal(secret_arn).items():
        missing = policies.missing_from(policy, statements)
        evidence = missing_evidence(policy, missing)
        yield Check(f"secret policy admits the {name}", not missing, evidence, overwritten=changeable, finding=changeable)


def reader_checks(desired: Desired, policy: Document | None, secret_arn: str) -> Iterator[Check]:
    """Whether the secret's resource policy lets the service read, where the service reads as itself.

    Whether the service meets a condition is unknown: such a statement does not pass the check, and does not revoke the access.
    """
    reader = desired.system.reader
    if isinstance(reader, ServicePrincipal):
        read = (reader.principal, "secretsmanager:GetSecretValue", secret_arn)
        admitted, excluded = policies.admits_service(policy, *read), policies.certainly_excludes_service(policy, *read)
        evidence = f"{reader.principal} {'can' if admitted else 'cannot'} read {secret_arn}"
        yield Check("secret policy admits the reader", admitted, evidence, revokes=excluded, finding=not excluded)


def missing_evidence(document: Document | None, missing: Iterable[str]) -> str:
    """The missing statements, and the unique ids that stand for deleted principals in them."""
    sids = [*missing]
    deleted = policies.deleted_in_own(document, sids)
    text = f"missing statements: {', '.join(sids) or 'none'}"
    return f"{text}; deleted principals: {', '.join(deleted)}" if deleted else text
