"""Compares the desired and the observed state of an access in named checks, and derives the status of the access."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.access.grants import ExpectedGrant, names_secret, resembles, serves
from latchkey.access.observed import ObservedAccess
from latchkey.access.principals import key_principal_checks, missing_evidence, reader_checks, secret_principal_checks
from latchkey.access.record import Status
from latchkey.aws.grants import Grant
from latchkey.aws.secrets import ObservedSecret
from latchkey.events.outcomes import Check
from latchkey.policies.reader_roles import POLICY_NAME
from latchkey.systems.system import Configured
from latchkey.tags import CONSENT, MANAGED_BY

CONFIGURED = "resource is configured"
_MOST_LISTED = 5


def check_access(desired: Desired, observed: ObservedAccess, *, handed_off: bool = False) -> tuple[Check, ...]:
    """All checks of one access, passed and failed: first the key, then the secret, the role, the resource and the grant.

    While the access is `handed_off`, the resource and the grant are not checked.
    """
    secret = observed.secret
    of_secret = (*_secret(desired, observed, secret), *_role(desired, observed, secret)) if secret else ()
    of_resource = (*_resource(desired, observed), *_grants(desired, observed)) if not handed_off else ()
    return (*_key(desired, observed), *of_secret, *of_resource)


def confirmed_by(desired: Desired) -> Check:
    """What a person confirmed about a resource that no API shows."""
    evidence = f"confirmed by the request {desired.request.request_id}: {desired.system.name} has no API that shows it"
    return Check(CONFIGURED, True, evidence, "confirmed")


def state_of(
    desired: Desired, observed: ObservedAccess, *, handed_off: bool = False
) -> tuple[Status | None, tuple[Check, ...]]:
    """The status of an access, or None if it cannot be determined, and the failed checks that explain it."""
    checks = check_access(desired, observed, handed_off=handed_off)
    if desired.system.configuration is not None and observed.secret is not None and not handed_off:
        unmet = tuple(check for check in checks if check.name == CONFIGURED and not check.passed)
        if observed.configured is None:
            return "gone", unmet
        if not uses_secret(observed.configured, observed.secret.arn):
            return "detached", unmet
    lost = tuple(check for check in checks if check.revokes and not check.passed)
    if not all(check.unclear for check in lost):
        return "revoked", lost
    expected = _expected_grant(desired, observed)
    if lost or (expected and is_moved(observed) and not _moved_grants(expected, observed)):
        return None, lost
    return "handed-off" if handed_off else "active", lost


def uses_secret(configured: Configured, secret_arn: str) -> bool:
    """Whether a resource uses a secret. One that accepts several tokens reads all of their secrets."""
    return any(names_secret(arn, secret_arn) for arn in (configured.secret_arn, *configured.more_secret_arns))


def is_moved(observed: ObservedAccess) -> bool:
    """Whether the secret was moved to another key. If so, the state of this key cannot revoke the access."""
    return observed.secret is not None and observed.key.arn not in observed.secret_keys


def _expected_grant(desired: Desired, observed: ObservedAccess) -> ExpectedGrant | None:
    """The service's grant, or None if there can be no grant."""
    resource_arn = desired.resource.arn(desired.place)
    if resource_arn is None or observed.secret is None:
        return None
    return desired.grant_for(observed.secret.arn, resource_arn)


def _moved_grants(expected: ExpectedGrant, observed: ObservedAccess) -> list[Grant]:
    """The grants that serve the resource on the present key of the secret."""
    return [grant for grant in observed.moved_grants or () if serves(grant, expected)]


def _key(desired: Desired, observed: ObservedAccess) -> Iterator[Check]:
    key, moved = observed.key, is_moved(observed)
    tags = f"{MANAGED_BY}={key.tags.get(MANAGED_BY)}, {CONSENT}={key.tags.get(CONSENT)}"
    yield Check("key is enabled", key.state == "Enabled", f"{key.arn} is {key.state}", revokes=not moved)
    yield Check("key is symmetric", key.encrypts_symmetrically, f"{key.spec}, {key.usage}")
    yield Check("key is in this Region", key.arn.startswith(desired.place.arn("kms", "key/")), key.arn)
    yield Check("key is managed or consented to", MANAGED_BY in key.tags or key.tags.get(CONSENT) == "adopt", tags)
    yield _rotation(desired, observed)
    yield from key_principal_checks(desired, observed.key_policy, moved=moved)


def _rotation(desired: Desired, observed: ObservedAccess) -> Check:
    """Only the rotation of a key that Latchkey created is checked. The owner decides about any other."""
    name, days, wanted = "key rotates", observed.rotation_days, desired.request.key.wanted_rotation_days
    evidence = "rotation is off" if days is None else f"rotates every {days} days"
    if MANAGED_BY not in observed.key.tags:
        return Check(name, True, f"Latchkey did not create the key, so its owner decides: {evidence}", "not applicable")
    if days is None or wanted in (None, days):
        return Check(name, days is not None, evidence)
    return Check(name, False, f"{evidence}, and the request asks for {wanted}", settles=True)


def _secret(desired: Desired, observed: ObservedAccess, secret: ObservedSecret) -> Iterator[Check]:
    policy = observed.secret_policy
    missing = policies.missing_from(policy, desired.service_statements(secret.arn))
    keys = f"{secret.arn} uses {secret.kms_key_id}, its current version is encrypted with {', '.join(observed.secret_keys)}"
    yield Check("secret is under the key", secret.kms_key_id == observed.key.arn and not is_moved(observed), keys)
    yield Check("secret is not being deleted", not secret.is_being_deleted, secret.arn, revokes=True)
    # The policy of a secret that is scheduled for deletion is not read and not changed.
    changeable = not secret.is_being_deleted
    name = "secret policy holds our statements"
    if desired.service_statements(secret.arn):
        yield Check(name, not missing, missing_evidence(policy, missing), overwritten=changeable)
    else:
        yield Check(name, True, "the service reads through its role, so the policy needs no statement", "not applicable")
    yield from secret_principal_checks(desired, policy, secret.arn, changeable=changeable)
    yield from reader_checks(desired, policy, secret.arn)
    public = policies.is_public(policy)
    evidence = "a statement without a condition allows everyone" if public else "no statement allows everyone"
    yield Check("secret policy is not public", not public, evidence)


def _role(desired: Desired, observed: ObservedAccess, secret: ObservedSecret) -> Iterator[Check]:
    wanted, role = desired.role(observed.key.arn, secret.arn), observed.role
    if wanted is None:
        return
    if role is None:
        yield Check("role exists", False, f"{wanted.arn(desired.place)} does not exist", revokes=True)
        return
    decrypts = policies.could_admit_role(observed.key_policy, role.arn, "kms:Decrypt")
    evidence = f"{role.arn} {'can' if decrypts else 'cannot'} be allowed by the key policy"
    yield Check("key policy lets the role decrypt", decrypts, evidence, revokes=not is_moved(observed))
    yield Check("role trusts the service", wanted.accepts_trust(role.trust), role.arn, revokes=True)
    evidence = f"boundary {role.boundary_arn}, policies other than {POLICY_NAME}: {', '.join(role.others) or 'none'}"
    is_bounded = not role.others and role.boundary_arn == desired.reader_boundary_arn
    narrow = is_bounded and policies.is_same(role.policy, wanted.policy)
    yield Check("role reads this secret and nothing else", narrow, evidence)
    evidence = f"not allowed in the IAM policy simulator: {', '.join(observed.refused) or 'none'}"
    yield Check("role may read the secret", not observed.refused, evidence, settles=True, revokes=True)


def _resource(desired: Desired, observed: ObservedAccess) -> Iterator[Check]:
    configured, configuration = observed.configured, desired.system.configuration
    if configuration is None or observed.secret is None:
        return
    wanted = configuration.wanted(desired.resource, desired.reading(observed.key.arn, observed.secret.arn))
    wrong = sorted(name for name, value in wanted.items() if not configured or configured.settings.get(name) != value)
    settings = f"different from the request: {', '.join(wrong)}" if wrong else "as requested"
    evidence = f"{configured.arn}: {settings}" if configured else "does not exist"
    # A new resource may not be visible yet.
    yield Check(CONFIGURED, not wrong, evidence, settles=configured is None)
    name = "service raises no alert"
    if configuration.has_alerts:
        yield Check(name, not observed.alerts, ", ".join(observed.alerts) or "no alert", settles=True)
    else:
        yield Check(name, True, "the service has no alerts for this kind of resource", "not applicable")


def _grants(desired: Desired, observed: ObservedAccess) -> Iterator[Check]:
    expected = _expected_grant(desired, observed)
    if expected is None:
        return
    name = expected.name
    alike = [grant for grant in observed.grants if resembles(grant, expected)]
    live = [grant for grant in alike if serves(grant, expected)]
    moved = _moved_grants(expected, observed)
    evidence = [f"{name}: {_listed(live[:1])}" if live else f"{name}: none for {expected.secret_arn}"]
    if moved and not live:
        evidence.append(f"on the present key of the secret: {_listed(moved)}")
    elif alike and not live:
        evidence.append(f"same name, but another grantee: {_listed(alike)}")
        # A service principal of another Region and the id of a deleted principal cannot be accepted.
        principals = sorted({grant.grantee for grant in alike if grant.grantee and grant.grantee.startswith("arn:")})
        if principals:
            named = ", ".join(principals[:_MOST_LISTED])
            evidence.append(f"if the service uses {named}, add it to the stack parameter AcceptedGrantees")
    # The cleanup revokes grants that remain on the former key. They are evidence here, and not a failure of this access.
    if stale := [grant for grant in observed.former_grants if grant.name == name]:
        evidence.append(f"left to the cleanup: {_listed(stale)}")
    unclear = bool(alike) or is_moved(observed)
    yield Check("grant is there", bool(live), "; ".join(evidence), settles=True, revokes=not moved, unclear=unclear)


def _listed(grants: Sequence[Grant]) -> str:
    """The first grants. Anybody with kms:CreateGrant can add grants with the same name, and evidence has a limit."""
    more = f" and {len(grants) - _MOST_LISTED} more" if len(grants) > _MOST_LISTED else ""
    return ", ".join(f"{grant.grant_id} on {grant.key_arn}" for grant in grants[:_MOST_LISTED]) + more
