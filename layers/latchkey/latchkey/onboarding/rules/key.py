"""Rules for the KMS key: its alias, what kind of key it is, who else uses it, and what its policy allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from latchkey import policies
from latchkey.access.consent import missing_consent
from latchkey.access.desired import Desired, Share
from latchkey.access.record import AccessRecord, is_exclusive
from latchkey.aws.keys import ObservedKey
from latchkey.errors import Problem
from latchkey.onboarding.rules.consent import is_approved_key, is_own_key
from latchkey.onboarding.rules.denials import FunctionRoles, key_denials_rule
from latchkey.onboarding.rules.evidence import KeyEvidence, RequestEvidence
from latchkey.onboarding.rules.policy import key_policy_rules, length_rule
from latchkey.settings import Settings
from latchkey.systems import SYSTEMS
from latchkey.tags import is_ours

# What a request can ask of a key only if Latchkey created the key and no other access uses it.
NOT_FOR_SHARED_KEYS = (
    "cannot be set on a key that other accesses use or that Latchkey did not create: remove it, or choose another alias"
)
NOT_FOR_LIVE_PARTNER_KEYS = (
    "cannot be added to a key on which a partner's data depends: remove it, or edit the key policy yourself"
)


# How a key in each state becomes usable: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
_STATE_ADVICE = {
    "Disabled": "enable the key",
    "PendingDeletion": "cancel its deletion and enable the key",
    "PendingImport": "import its key material",
    "Unavailable": "connect its custom key store",
}


def key_path(desired: Desired) -> str:
    """The path of the member that identifies the key, in the request or by default."""
    return "key.arn" if desired.request.key.arn else "key.alias"


def is_here(desired: Desired) -> bool:
    """Whether the key is identified by an alias, or by an ARN of this account and Region."""
    arn = desired.request.key.arn
    return arn is None or arn.startswith(desired.place.arn("kms", "key/"))


def alias_problems(desired: Desired) -> Iterator[Problem]:
    """Keys that are given to a partner have aliases of their own, so that no request can take a key of the other kind."""
    alias, prefix = desired.alias or "", f"{desired.alias_prefix}{desired.system.name}/"
    if desired.alias and desired.system.key_is_exclusive and not alias.startswith(prefix):
        yield Problem("key.alias", f"must begin with {prefix}, because a key of this system serves nothing else")
    reserved = [name for name, system in SYSTEMS.items() if system.key_is_exclusive and name != desired.system.name]
    for name in reserved:
        if alias.startswith(f"{desired.alias_prefix}{name}"):
            rule = f"must not begin with {desired.alias_prefix}{name}, which is reserved: choose another alias"
            yield Problem("key.alias", rule)


def key_problems(desired: Desired, evidence: RequestEvidence, settings: Settings, roles: FunctionRoles) -> Iterator[Problem]:
    """The key must be usable, approved and open to IAM; a new key for a partner must be possible to create."""
    path, found = key_path(desired), evidence.key
    aliased = [*alias_problems(desired)]
    yield from aliased
    if found.hidden:
        yield Problem(path, _not_delegating(desired))
    if aliased:
        # The request has to name another alias, so the rules for this key do not matter.
        return
    if found.key is not None:
        yield from _existing_key_problems(desired, found.key, evidence, path, roles)
    elif found.hidden:
        return
    elif not is_here(desired):
        place = desired.place
        yield Problem(path, f"must be in account {place.account} and Region {place.region}: name a key of this stack's Region")
    elif desired.request.key.arn:
        yield Problem(path, "does not exist: correct the ARN, or use key.alias to create a key")
    else:
        if desired.system.key_is_exclusive:
            yield from _new_partner_key_problems(desired, evidence, settings)
        creation = Share((), tuple(policies.statements_of(desired.new_key_policy)))
        yield from (Problem(path, rule) for rule in length_rule(None, creation, policies.KEY_POLICY_LIMIT))


def _new_partner_key_problems(desired: Desired, evidence: RequestEvidence, settings: Settings) -> Iterator[Problem]:
    if evidence.record is not None:
        yield Problem("key.alias", _replaces_partner_key(desired, evidence.record))
    elif evidence.key.refused_creation:
        actions, role = ", ".join(evidence.key.refused_creation), settings.create_key_role_arn
        yield Problem("key", f"cannot be created because the policies of {role} do not allow {actions}: allow these actions")


def _existing_key_problems(
    desired: Desired, key: ObservedKey, evidence: RequestEvidence, path: str, roles: FunctionRoles
) -> Iterator[Problem]:
    if not key.customer_managed:
        yield Problem(path, _aws_managed(desired))
        return
    if not key.encrypts_symmetrically:
        yield Problem(path, "is not a symmetric encryption key: choose a key with key spec SYMMETRIC_DEFAULT")
    if key.multi_region:
        yield Problem(path, "is a multi-Region key: choose a single-Region key")
    if key.state != "Enabled":
        yield Problem(
            path,
            f"is in key state {key.state}: {_STATE_ADVICE.get(key.state, 'wait until it is enabled')}, or choose another key",
        )
    if not is_approved_key(key, desired.stack, recorded=evidence.key.recorded):
        yield Problem(path, missing_consent(key.arn))
        return
    policy = evidence.key.policy
    if policy is None:
        return
    if not policies.delegates_to_iam(policy, desired.place):
        yield Problem(path, _not_delegating(desired))
    yield from _sharing_problems(desired, key, evidence, path)
    yield from _rotation_problems(desired, key, evidence.key)
    secret = evidence.secret
    share = desired.key_share(secret.secret.arn if secret and secret.under_default_key else None)
    writes, moves = bool(policies.missing_from(policy, share.needed)), secret is not None and secret.key_arn != key.arn
    yield from (Problem(path, rule) for rule in key_policy_rules(policy, share))
    denials = key_denials_rule(desired, policy, roles, writes=writes, moves=moves)
    yield from (Problem(path, rule) for rule in denials)
    missing = desired.powers_missing_from(policy)
    if not is_own_key(key, desired.stack, recorded=evidence.key.recorded) or evidence.key.other_accesses:
        yield from (Problem(member, NOT_FOR_SHARED_KEYS) for member in missing)
    elif evidence.record is not None:
        yield from (Problem(member, NOT_FOR_LIVE_PARTNER_KEYS) for member in powers_over_partner(desired, missing))


def _rotation_problems(desired: Desired, key: ObservedKey, found: KeyEvidence) -> Iterator[Problem]:
    """The rotation period is changed only on a key that Latchkey created and that no other access uses."""
    wanted = desired.request.key.wanted_rotation_days
    if wanted in (None, found.rotation_days) or found.hidden:
        return
    rotation = f"{key.arn} " + (f"rotates every {found.rotation_days} days" if found.rotation_days else "does not rotate")
    if not is_own_key(key, desired.stack, recorded=found.recorded):
        yield Problem("key.rotationDays", f"{rotation}, and Latchkey did not create it: remove key.rotationDays")
    elif found.other_accesses and found.rotation_days is not None:
        # The rotation of a key that another request is creating is still off.
        others = ", ".join(sorted(found.other_accesses))
        yield Problem("key.rotationDays", f"{rotation} and serves {others}: remove key.rotationDays, or choose another alias")


def powers_over_partner(desired: Desired, missing: Iterable[str]) -> list[str]:
    """The members that would let somebody delete or disable the live key of a partner, whose data depends on it.

    An administrator can change the key policy, and can therefore allow itself to delete the key.
    """
    return [member for member in missing if desired.system.key_is_exclusive and member != "key.users"]


def needs_grant_count(desired: Desired, key: ObservedKey, others: frozenset[str], record: AccessRecord | None) -> bool:
    """Whether an existing key would become the key of a partner, which must not have grants."""
    return desired.system.key_is_exclusive and record is None and is_ours(key.tags, desired.stack) and not others


def _sharing_problems(desired: Desired, key: ObservedKey, evidence: RequestEvidence, path: str) -> Iterator[Problem]:
    """A key that is given to a partner serves one access for ever, and a key that served others never becomes one.

    A key that Latchkey did not create does not become one either: consent to a change of the key is not consent to share it.
    """
    found, record, system = evidence.key, evidence.record, desired.system
    partners = sorted(other for other in found.other_accesses if is_exclusive([other]))
    if partners:
        yield Problem(path, f"serves only {', '.join(partners)}: choose another alias")
        return
    if not system.key_is_exclusive or (record is not None and record.key_arn == key.arn):
        return
    if record is not None:
        yield Problem(path, _replaces_partner_key(desired, record))
    elif not is_own_key(key, desired.stack, recorded=found.recorded):
        yield Problem(path, f"must be a key that Latchkey created: remove {path}, or choose another alias")
    elif found.other_accesses:
        others = ", ".join(sorted(found.other_accesses))
        yield Problem(path, f"serves {others}, and a key of {system.name} serves nothing else: choose another alias")
    elif found.grant_count:
        rule = f"has {found.grant_count} grants, and a key of {system.name} serves nothing else: choose another alias"
        yield Problem(path, rule)


def _replaces_partner_key(desired: Desired, record: AccessRecord) -> str:
    return f"is not {record.key_arn}, the key that {desired.access_id} keeps: name the alias of that key"


def _aws_managed(desired: Desired) -> str:
    """The rule that an AWS managed key breaks: nobody can change its policy, and services can create no grant on it.

    https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#aws-managed-key
    """
    rule = "is an AWS managed key, whose policy nobody can change: name a customer managed key, or leave out the member"
    return f"{rule}, and Latchkey uses the alias {desired.alias_prefix}{desired.system.name}"


def _not_delegating(desired: Desired) -> str:
    root = desired.place.arn("iam", "root", region="")
    return f"its policy does not delegate to IAM: add a statement that allows kms:* on * to {root}"


def readable_key_arn(found: KeyEvidence) -> str | None:
    """The ARN of the key, or None if there is no key or if KMS denied a read of it."""
    return None if found.key is None or found.hidden else found.key.arn
