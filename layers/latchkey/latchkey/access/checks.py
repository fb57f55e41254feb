"""Pure: what should be true against what is, as a list of named checks with their evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.access.grants import names_secret, resembles, serves
from latchkey.access.observed import ObservedAccess
from latchkey.access.record import Status
from latchkey.aws.grants import Grant
from latchkey.aws.secrets import ObservedSecret
from latchkey.events.outcomes import Check
from latchkey.policies.reader_roles import POLICY_NAME
from latchkey.systems.readers import ServicePrincipal
from latchkey.tags import CONSENT, MANAGED_BY

CONFIGURED = "resource is configured"


def check_access(desired: Desired, observed: ObservedAccess, *, handed_off: bool = False) -> tuple[Check, ...]:
    """Every check of one access, passed or not, in the order in which a person would look.

    While it is `handed_off`, nothing is known of its resource.
    """
    read = (*_secret(desired, observed, observed.secret), *_role(desired, observed, observed.secret)) if observed.secret else ()
    use = (*_resource(desired, observed), *_grants(desired, observed)) if not handed_off else ()
    return (*_key(desired, observed), *read, *use)


def state_of(
    desired: Desired, observed: ObservedAccess, *, handed_off: bool = False
) -> tuple[Status | None, tuple[Check, ...]]:
    """The state that an access is in by what is true, None if that cannot be told, and the failed checks that make it so."""
    checks = check_access(desired, observed, handed_off=handed_off)
    if desired.system.configuration is not None and observed.secret is not None and not handed_off:
        unmet = tuple(check for check in checks if check.name == CONFIGURED and not check.passed)
        if observed.configured is None:
            return "gone", unmet
        if not names_secret(observed.configured.secret_arn, observed.secret.arn):
            return "detached", unmet
    lost = tuple(check for check in checks if check.revokes and not check.passed)
    if not all(check.unclear for check in lost):
        return "revoked", lost
    names = _names(desired, observed)
    if lost or (names and _is_moved(observed) and not _moved_grants(names, observed)):
        return None, lost
    return "handed-off" if handed_off else "active", lost


def _is_moved(observed: ObservedAccess) -> bool:
    """Did somebody take the secret to another key? Then what is true of this one revokes nothing."""
    return observed.secret is not None and observed.key.arn not in observed.secret_keys


def _names(desired: Desired, observed: ObservedAccess) -> tuple[str, str, str] | None:
    """What a grant of the resource names: itself, the secret, the resource. None if there can be none."""
    name, resource_arn = desired.grant_name, desired.resource.arn(desired.place)
    if name is None or resource_arn is None or observed.secret is None:
        return None
    return name, observed.secret.arn, resource_arn


def _moved_grants(names: tuple[str, str, str], observed: ObservedAccess) -> list[Grant]:
    """The grants by which the resource reads under the key that the secret is under now."""
    return [grant for grant in observed.moved_grants or () if serves(grant, *names)]


def _key(desired: Desired, observed: ObservedAccess) -> Iterator[Check]:
    key, moved = observed.key, _is_moved(observed)
    owner = f"{MANAGED_BY}={key.tags.get(MANAGED_BY)}, {CONSENT}={key.tags.get(CONSENT)}"
    yield Check("key is enabled", key.state == "Enabled", f"{key.arn} is {key.state}", revokes=not moved)
    yield Check("key is symmetric", key.encrypts_symmetrically, f"{key.spec}, {key.usage}")
    yield Check("key is in this Region", key.arn.startswith(desired.place.arn("kms", "key/")), key.arn)
    yield Check("key is managed or consented to", MANAGED_BY in key.tags or key.tags.get(CONSENT) == "adopt", owner)
    # An adopted key keeps its own rotation: it is told, not demanded.
    adopted = MANAGED_BY not in key.tags
    yield Check("key rotates", observed.rotates or adopted, f"rotation is {'on' if observed.rotates else 'off'}")
    missing = policies.missing_from(observed.key_policy, desired.key_statements)
    told = f"missing: {', '.join(missing) or 'nothing'}"
    yield Check("key policy admits the roles", not missing, told, overwritten=True, revokes=not moved)


def _secret(desired: Desired, observed: ObservedAccess, secret: ObservedSecret) -> Iterator[Check]:
    policy, reader = observed.secret_policy, desired.system.reader
    missing = policies.missing_from(policy, desired.secret_statements(secret.arn))
    told = f"{secret.arn} under {secret.kms_key_id}, its current version under {', '.join(observed.secret_keys)}"
    yield Check("secret is under the key", secret.kms_key_id == observed.key.arn and not _is_moved(observed), told)
    yield Check("secret is not being deleted", not secret.is_being_deleted, secret.arn, revokes=True)
    told = f"missing: {', '.join(missing) or 'nothing'}"
    # The policy of a secret in deletion is not read, and nothing is attached to it.
    yield Check("secret policy holds our statements", not missing, told, overwritten=not secret.is_being_deleted)
    if isinstance(reader, ServicePrincipal):
        admitted = policies.admits_service(policy, reader.principal, "secretsmanager:GetSecretValue", secret.arn)
        told = f"{reader.principal} may {'' if admitted else 'not '}read {secret.arn}"
        yield Check("secret policy admits the reader", admitted, told, revokes=True)
    public = policies.is_public(policy)
    told = "admits everyone" if public else "admits nobody without a condition or a name"
    yield Check("secret policy is not public", not public, told)


def _role(desired: Desired, observed: ObservedAccess, secret: ObservedSecret) -> Iterator[Check]:
    wanted, role = desired.role(observed.key.arn, secret.arn), observed.role
    if wanted is None:
        return
    if role is None:
        yield Check("role exists", False, f"{wanted.arn(desired.place)} does not exist", revokes=True)
        return
    yield Check("role trusts the service", role.trust == wanted.trust, role.arn, revokes=True)
    told = f"boundary {role.boundary_arn}, beside {POLICY_NAME}: {', '.join(role.others) or 'nothing'}"
    narrow = role.policy == wanted.policy and not role.others and role.boundary_arn == desired.reader_boundary_arn
    yield Check("role reads this secret and nothing else", narrow, told)
    told = f"refused by IAM's simulation: {', '.join(observed.refused) or 'nothing'}"
    yield Check("role may read the secret", not observed.refused, told, settles=True, revokes=True)


def _resource(desired: Desired, observed: ObservedAccess) -> Iterator[Check]:
    configured, configuration = observed.configured, desired.system.configuration
    if configuration is None or observed.secret is None:
        return
    wanted = configuration.wanted(desired.resource, desired.reading(observed.key.arn, observed.secret.arn))
    wrong = sorted(name for name, value in wanted.items() if not configured or configured.settings.get(name) != value)
    evidence = f"{configured.arn}: {', '.join(wrong) + ' differ' if wrong else 'as asked'}" if configured else "does not exist"
    yield Check(CONFIGURED, not wrong, evidence)
    yield Check("service raises no alert", not observed.alerts, ", ".join(observed.alerts) or "no alert", settles=True)


def _grants(desired: Desired, observed: ObservedAccess) -> Iterator[Check]:
    names = _names(desired, observed)
    if names is None:
        return
    name, secret_arn, _ = names
    alike = [grant for grant in observed.grants if resembles(grant, *names)]
    live = [grant for grant in alike if serves(grant, *names)]
    moved = _moved_grants(names, observed)
    other = f"; where its secret is now: {_told(moved)}" if moved else f"; not known whose: {_told(alike)}" if alike else ""
    told = f"{name}: {_told(live[:1])}" if live else f"{name}: none for {secret_arn}{other}"
    stale = [grant for grant in observed.former_grants if grant.name == name]
    # A grant that outlives the move to this key is the clean-up's work: told here, and no failure of this access.
    left = f"; left to clean-up: {_told(stale)}" if stale else ""
    unclear = bool(alike) or _is_moved(observed)
    yield Check("grant is there", bool(live), told + left, settles=True, revokes=not moved, unclear=unclear)


def _told(grants: Sequence[Grant]) -> str:
    return ", ".join(f"{grant.grant_id} on {grant.key_arn}" for grant in grants)
