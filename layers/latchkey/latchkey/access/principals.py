"""Checks of the principals that can use the key and the secret of an access besides its service, and of the reader role. Pure.

The service can still read when such a principal loses its statement, so a failed check is a finding and does not revoke the
access.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.events.outcomes import Check
from latchkey.policies import Document
from latchkey.systems.readers import ServicePrincipal

RECREATED = "role is the one that was recorded"
NO_DELETED_IN_KEY_POLICY = "key policy names no deleted principals"
NO_DELETED_IN_SECRET_POLICY = "secret policy names no deleted principals"


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


@dataclass(frozen=True)
class Standing:
    """What decides about the principals of a recorded access. A policy is None if it was not read.

    `role_created` is when the present reader role was created, `recorded_at` when a request last recorded the access.
    """

    key_policy: Document | None
    secret_policy: Document | None
    moved: bool = False
    role_created: datetime | None = None
    recorded_at: datetime | None = None


def failed_standing_checks(desired: Desired, secret_arn: str | None, standing: Standing) -> tuple[Check, ...]:
    """The failed checks of the principals of a recorded access."""
    checks = (*_of_policies(desired, secret_arn, standing), *_of_role(standing))
    return tuple(check for check in checks if not check.passed)


def _of_policies(desired: Desired, secret_arn: str | None, standing: Standing) -> Iterator[Check]:
    if standing.key_policy is not None:
        yield from key_principal_checks(desired, standing.key_policy, moved=standing.moved)
        if not standing.moved:
            yield _existing(NO_DELETED_IN_KEY_POLICY, standing.key_policy)
    if standing.secret_policy is not None and secret_arn:
        yield from reader_checks(desired, standing.secret_policy, secret_arn)
        yield from secret_principal_checks(desired, standing.secret_policy, secret_arn, changeable=True)
        yield _existing(NO_DELETED_IN_SECRET_POLICY, standing.secret_policy)


def _existing(name: str, policy: Document) -> Check:
    """AWS rejects every update of a policy that names a deleted principal, also those of Latchkey."""
    deleted = policies.deleted_principals(policy)
    places = "; ".join(f"{', '.join(ids)} in {statement}" for statement, ids in deleted.items())
    evidence = f"deleted principals in statements of others: {places or 'none'}"
    return Check(name, not deleted, evidence, finding=True)


def _of_role(standing: Standing) -> Iterator[Check]:
    if standing.role_created and standing.recorded_at:
        again = standing.role_created > standing.recorded_at
        evidence = f"created {standing.role_created.isoformat()}, recorded {standing.recorded_at.isoformat()}"
        yield Check(RECREATED, not again, evidence, finding=True)
