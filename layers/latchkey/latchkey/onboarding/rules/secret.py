"""Rules for the secret: a new one, an adopted one, the one that a value is copied from, and the key it is under."""

from __future__ import annotations

from collections.abc import Iterator

from latchkey import policies
from latchkey.access.consent import secret_rules
from latchkey.access.desired import Desired
from latchkey.errors import Problem
from latchkey.onboarding.rules.consent import was_created_for
from latchkey.onboarding.rules.denials import FunctionRoles, secret_denials_rule
from latchkey.onboarding.rules.evidence import RequestEvidence, SecretEvidence
from latchkey.onboarding.rules.key import readable_key_arn
from latchkey.onboarding.rules.policy import length_rule, secret_policy_rules
from latchkey.requests.models import CopyFrom
from latchkey.settings import Settings
from latchkey.tags import is_ours

EXISTING_PATH = "secret.value.existing.secretArn"
SOURCE_PATH = "secret.value.copyFrom.secretArn"


def is_here(desired: Desired) -> bool:
    """Whether the secret is identified by a name, or by an ARN of this account and Region."""
    arn = desired.existing_secret_arn
    return arn is None or arn.startswith(desired.place.arn("secretsmanager", "secret:"))


def secret_problems(desired: Desired, evidence: RequestEvidence, settings: Settings, roles: FunctionRoles) -> Iterator[Problem]:
    """The secret that the service will read; nothing for a system that reads none."""
    if not desired.reads_secret:
        return
    if desired.existing_secret_arn:
        yield from _existing_secret_problems(desired, evidence, settings, roles)
    else:
        yield from _new_secret_problems(desired, evidence, settings, roles)
    if evidence.secret is not None:
        yield from _key_move_problems(desired, evidence, evidence.secret)
    if desired.request.secret.keeps_value:
        yield from _kept_value_problems(desired, evidence)


def keeps_value(desired: Desired, evidence: RequestEvidence) -> bool:
    """Whether the request keeps the value of a secret that exists, so that nothing is generated or copied."""
    return desired.request.secret.keeps_value and evidence.secret is not None


def _kept_value_problems(desired: Desired, evidence: RequestEvidence) -> Iterator[Problem]:
    """`keepsValue` requires the secret that the access has, and the source from which its value was copied.

    Otherwise, the record would name a source whose value was never copied, and a later request could send that value to the
    hosts of this access.
    """
    record, source = evidence.record, desired.request.secret.value.copy_from
    if record is not None and record.reached == "active" and not desired.is_secret(record.secret_arn):
        yield Problem(
            "secret.keepsValue",
            f"cannot be set in a request for another secret than {record.secret_arn}, which the access uses: remove it",
        )
    elif source is not None and evidence.secret is not None and not _contains_copy(source, evidence, evidence.secret):
        rule = "requires that copyFrom names the source from which the value of the secret was copied: name the recorded source"
        yield Problem("secret.keepsValue", rule)


def _contains_copy(source: CopyFrom, evidence: RequestEvidence, found: SecretEvidence) -> bool:
    return any(
        record.secret_arn == found.secret.arn and request.secret.value.copy_from == source
        for record, request in evidence.recorded
    )


def _existing_secret_problems(
    desired: Desired, evidence: RequestEvidence, settings: Settings, roles: FunctionRoles
) -> Iterator[Problem]:
    if not is_here(desired):
        place = desired.place
        rule = f"must be in account {place.account} and Region {place.region}: name a secret of this stack's Region"
        yield Problem(EXISTING_PATH, rule)
        return
    if evidence.hidden_secret:
        yield Problem(EXISTING_PATH, _hidden(desired))
        return
    found, secret = evidence.secret, evidence.secret.secret if evidence.secret else None
    arn = desired.existing_secret_arn or ""
    # A secret that Latchkey created for another access needs consent, like any other secret.
    is_own = found is not None and was_created_for(desired, found.secret, referred=found.referred)
    yield from (Problem(EXISTING_PATH, rule) for rule in secret_rules(secret, arn, "adopt", is_own=is_own))
    if found is None or found.secret.is_being_deleted or found.secret.arn != arn:
        return
    yield from (Problem(EXISTING_PATH, rule) for rule in _usable_rules(desired, found))
    # The permissions boundary of the reader roles goes by secret names: if it went by a tag, removing the tag would stop
    # services that are on air.
    prefixes = (settings.secret_prefix, settings.adopted_secret_prefix)
    if desired.role("", "") and not desired.secret_name.startswith(prefixes):
        rule = (
            f"must have a name that begins with {' or '.join(prefixes)}, so that a role can read it: "
            "choose another secret, or change the stack parameter AdoptedSecretPrefix"
        )
        yield Problem(EXISTING_PATH, rule)
    yield from (Problem(EXISTING_PATH, rule) for rule in _policy_rules(desired, found, evidence, roles))


def _new_secret_problems(
    desired: Desired, evidence: RequestEvidence, settings: Settings, roles: FunctionRoles
) -> Iterator[Problem]:
    if not desired.secret_name.startswith(settings.secret_prefix):
        yield Problem("secret.name", f"must begin with {settings.secret_prefix}, the stack parameter SecretPrefix")
    if evidence.hidden_secret:
        yield Problem("secret.name", _hidden(desired))
        return
    found, share = evidence.secret, desired.secret_share(desired.secret_arn_pattern)
    if found is None:
        yield from (Problem("secret", rule) for rule in length_rule(None, share, policies.SECRET_POLICY_LIMIT))
        return
    if found.secret.is_being_deleted:
        yield Problem("secret.name", "names a secret that is scheduled for deletion: restore it, or choose another name")
    elif not is_ours(found.secret.tags, desired.stack):
        rule = f"{found.secret.arn} exists and is not Latchkey's: adopt it with secret.value.existing, or choose another name"
        yield Problem("secret.name", rule)
    elif not was_created_for(desired, found.secret, referred=found.referred):
        rule = f"{found.secret.arn} was created for another access: share it with secret.value.existing, or choose another name"
        yield Problem("secret.name", rule)
    else:
        yield from (Problem("secret.name", rule) for rule in _usable_rules(desired, found))
        yield from (Problem("secret.name", rule) for rule in _policy_rules(desired, found, evidence, roles))
        if desired.request.secret.value.copy_from and not desired.request.secret.keeps_value:
            yield from _shared_secret_problems(found, "secret.value.copyFrom", "change the token")


def _usable_rules(desired: Desired, found: SecretEvidence) -> Iterator[str]:
    """The rules that a secret breaks which exists and which Latchkey can use, if its value or its policy cannot be used."""
    if primary := found.secret.replica_of:
        yield (
            f"is a replica, which only the primary secret in {primary} can change: send the request to a stack in that Region, "
            "or promote the replica to a standalone secret"
        )
    if not found.secret.has_value:
        yield _without_value(desired)
    key = found.key
    if key is not None and key.customer_managed and key.state != "Enabled":
        yield f"is encrypted with {key.arn}, which is in key state {key.state}: make that key usable, or choose another secret"


def _without_value(desired: Desired) -> str:
    """The rule that a secret without a current version breaks. Nobody can read it."""
    member_path = desired.resource.secret_member_path
    member = desired.secret_shape.member if desired.secret_shape else None
    named = f"that {member_path} names" if member_path else member
    kind = "the token as text" if member is None else f"a JSON object with the member {named}"
    return f"has no value yet, because no version has the label AWSCURRENT: put {kind} into the secret"


def _policy_rules(desired: Desired, found: SecretEvidence, evidence: RequestEvidence, roles: FunctionRoles) -> Iterator[str]:
    """The rules that the resource policy of an existing secret breaks."""
    arn, share = found.secret.arn, desired.secret_share(found.secret.arn)
    yield from secret_policy_rules(found.policy, share)
    writes = bool(policies.missing_from(found.policy, share.needed))
    key_arn = readable_key_arn(evidence.key)
    moves = key_arn is None or found.key_arn != key_arn
    yield from secret_denials_rule(desired, found.every_policy, arn, roles, writes=writes, moves=moves)


def _hidden(desired: Desired) -> str:
    roles = desired.place.arn("iam", f"role/{desired.stack}-*", region="")
    return f"cannot be read, because AWS denies it: exempt {roles} in the Deny statements of its policy"


def _key_move_problems(desired: Desired, evidence: RequestEvidence, found: SecretEvidence) -> Iterator[Problem]:
    """No reader is lost when a secret leaves the default key; when it leaves another key, the request must ask for it."""
    kms_key_id = found.secret.kms_key_id
    if found.under_default_key:
        return
    key_arn = readable_key_arn(evidence.key)
    if key_arn is not None and key_arn == found.key_arn:
        return
    if desired.request.key.move:
        return  # with the rules in `move`
    if desired.request.secret.move_key:
        yield from _shared_secret_problems(found, "secret.moveKey", "change the key of a secret")
        return
    path = EXISTING_PATH if desired.existing_secret_arn else "secret.name"
    member = "key.move" if evidence.record is not None and evidence.record.reached == "active" else "secret.moveKey"
    rule = f"is encrypted under {kms_key_id}: name that key in key.arn, or set {member} to true to change the key"
    yield Problem(path, rule)


def _shared_secret_problems(found: SecretEvidence, path: str, change: str) -> Iterator[Problem]:
    if found.other_accesses:
        others = ", ".join(sorted(found.other_accesses))
        yield Problem(path, f"cannot {change} that {others} also uses: choose another secret")


def source_problems(desired: Desired, evidence: RequestEvidence) -> Iterator[Problem]:
    """The secret whose value is imported.

    Its value goes to another secret and from there to any host, so even a secret that Latchkey created needs consent. Nothing
    is read from it if the value of the secret is kept.
    """
    if desired.request.secret.value.copy_from is None or keeps_value(desired, evidence):
        return
    if evidence.source is None:
        yield Problem(SOURCE_PATH, f"must be in account {desired.place.account}: name a secret of this account")
    elif not evidence.source.region_exists:
        yield Problem(SOURCE_PATH, "is in a Region that does not exist: correct the ARN")
    elif evidence.source.hidden:
        yield Problem(SOURCE_PATH, _hidden(desired))
    else:
        source, arn = evidence.source.secret, desired.request.secret.value.copy_from.secret_arn
        yield from (Problem(SOURCE_PATH, rule) for rule in secret_rules(source, arn, "import"))
        if source is not None and not source.is_being_deleted and not source.has_value:
            yield Problem(SOURCE_PATH, _without_value(desired))
