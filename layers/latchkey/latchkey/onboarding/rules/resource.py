"""Rules for the consumer resource and for the role through which its service reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from latchkey import policies
from latchkey.access.bounds import Bounds, allows_host
from latchkey.access.consent import missing_consent
from latchkey.access.desired import Desired
from latchkey.access.grants import names_secret
from latchkey.access.record import AccessRecord
from latchkey.errors import Problem
from latchkey.onboarding.rules.consent import was_created_for
from latchkey.onboarding.rules.denials import THIS_KEY, restoring_denials
from latchkey.onboarding.rules.evidence import FormerSecretEvidence, RequestEvidence, ResourceEvidence, SecretEvidence
from latchkey.onboarding.rules.policy import role_length_rule
from latchkey.onboarding.rules.secret import keeps_value
from latchkey.settings import Settings
from latchkey.systems.system import Configuration, Configured, CreatingConfiguration
from latchkey.tags import ACCESS, CONSENT


def role_problems(desired: Desired, evidence: RequestEvidence) -> Iterator[Problem]:
    """A role with the name of the reader role must be the role of this access.

    The tag alone does not prove that, because anybody who can create roles can set it; the registry also has the role's ARN.
    """
    found = evidence.role
    if found is not None and (not found.referred or found.role.tags.get(ACCESS) != desired.access_id):
        rule = f"{found.role.arn} has the name of this access's role and was not created by Latchkey: delete that role"
        yield Problem("resource", rule)
        return
    if found is not None and found.role.others:
        others = ", ".join(sorted(found.role.others))
        yield Problem("resource", f"its reader role {found.role.arn} can do more than read the secret: remove {others} from it")
    # The ARN of a new key is as long as that of any other.
    wanted = desired.role(desired.request.key.arn or desired.place.arn("kms", f"key/{'-' * 36}"), desired.secret_arn_pattern)
    if wanted is not None:
        yield from (Problem("resource", rule) for rule in role_length_rule(wanted.policy))


def host_problems(desired: Desired, evidence: RequestEvidence, bounds: Bounds) -> Iterator[Problem]:
    """An existing token, or a copy of it, goes only to hosts that already receive it or that the stack allows."""
    yield from _present_host_problems(desired, evidence, bounds)
    host = desired.resource.origin_host
    if host is None or allows_host(host, bounds) or _repeats_handoff(desired, evidence):
        return
    if not _receives_secret(host, desired, evidence) or not _receives_source(host, desired, evidence):
        rule = (
            "is not a host that already receives this secret: use such a host, "
            "or add this one to the stack parameter AllowedOriginHosts"
        )
        yield Problem("resource.baseUrl", rule)


def _present_host_problems(desired: Desired, evidence: RequestEvidence, bounds: Bounds) -> Iterator[Problem]:
    """A token is copied into an existing secret only if the hosts that receive this secret now could also receive the token.

    The secret gets its new value before the resource gets its new settings, and keeps it if a later step fails.
    """
    found = evidence.secret
    if found is None or desired.request.secret.value.copy_from is None or keeps_value(desired, evidence):
        return
    if not all(allows_host(host, bounds) or _receives_source(host, desired, evidence) for host in found.present_hosts):
        rule = (
            "cannot be copied into a secret that is sent or handed off to a host that is not allowed to receive the token: "
            "choose another secret.name, or first change the host with a request that keeps the present token"
        )
        yield Problem("secret.value.copyFrom", rule)


def confirmed_host_problems(desired: Desired, evidence: RequestEvidence, bounds: Bounds) -> Iterator[Problem]:
    """The host of a hand-off is checked again when it is confirmed, because the bounds and the token can have changed since."""
    host, found = desired.resource.origin_host, evidence.secret
    if host is None or found is None or allows_host(host, bounds) or _is_new_token(desired, found):
        return
    if host not in found.origin_hosts or not _receives_source(host, desired, evidence):
        rule = (
            "hands an existing token off to a host that does not already receive it: "
            "onboard the access with such a host, or add this one to the stack parameter AllowedOriginHosts"
        )
        yield Problem("accessId", rule)


def _is_new_token(desired: Desired, found: SecretEvidence) -> bool:
    """Whether Latchkey generated the token for this access, and no host is known to receive it yet."""
    is_own = was_created_for(desired, found.secret, referred=found.referred)
    is_generated = desired.request.secret.value.generate is not None and not found.copied_from
    return is_own and is_generated and not found.origin_hosts


def _repeats_handoff(desired: Desired, evidence: RequestEvidence) -> bool:
    """Whether the request repeats an unconfirmed hand-off, with the same host and token. A hand-off sends no token.

    A request that copies a value is no such repetition, because the value can have changed.
    """
    found, value, present = evidence.secret, desired.request.secret.value, evidence.resource
    configured = present.configured if present else None
    if found is None or (value.copy_from is not None and not desired.request.secret.keeps_value):
        return False
    if not desired.hands_off and not waits_for_token(desired, configured, found.secret.arn, evidence.record):
        return False
    return any(
        record.reached == "handed-off"
        and record.secret_arn == found.secret.arn
        and former.secret.value.source_arn == value.source_arn
        and former.resource.origin_host == desired.resource.origin_host
        for record, former in evidence.recorded
    )


def _receives_secret(host: str, desired: Desired, evidence: RequestEvidence) -> bool:
    """Whether the host receives the secret of the request, or the secret does not exist or was never sent anywhere."""
    return evidence.secret is None or host in evidence.secret.origin_hosts or _was_never_sent(desired, evidence)


def _was_never_sent(desired: Desired, evidence: RequestEvidence) -> bool:
    """Whether it is proven that a failed request created the secret and that no resource was configured with it."""
    found = evidence.secret
    is_own = found is not None and was_created_for(desired, found.secret, referred=found.referred)
    return found is not None and is_own and found.never_configured and evidence.record is None


def _receives_source(host: str, desired: Desired, evidence: RequestEvidence) -> bool:
    """Whether the host receives the secret from which the value is copied, or receives a copy of it."""
    source, found = desired.request.secret.value.copy_from, evidence.secret
    receives_secret = found is not None and host in found.origin_hosts
    if source is None:
        # A copy that a failed request left can go where its source can go; any other existing secret has its own hosts.
        return receives_secret or not (_was_never_sent(desired, evidence) and found is not None and found.copied_from)
    if evidence.source is not None and host in evidence.source.origin_hosts:
        return True
    return receives_secret and _contains_copy(desired, evidence)


def _contains_copy(desired: Desired, evidence: RequestEvidence) -> bool:
    """Whether the recorded request copied the same token into the secret.

    `copied_from` does not prove that, because it is recorded before the value is copied, and the request can fail.
    """
    record, recorded, found = evidence.record, evidence.recorded_request, evidence.secret
    if record is None or recorded is None or found is None or record.secret_arn != found.secret.arn:
        return False
    return recorded.secret.value.copy_from == desired.request.secret.value.copy_from


def is_configured_by_api(desired: Desired) -> bool:
    """Whether the request configures a resource in this account and Region."""
    has_api = desired.system.configuration is not None and not desired.hands_off
    return has_api and not desired.resource.wrong_location(desired.place)


def resource_problems(desired: Desired, evidence: RequestEvidence, settings: Settings) -> Iterator[Problem]:
    """The resource must be in this account and Region, exist, be approved, and keep what its origin expects.

    configure_access calls `configured_problems` again on its last read before the update.
    """
    yield from (Problem(f"resource.{path}", rule) for path, rule in desired.resource.wrong_location(desired.place).items())
    if urlsplit(desired.resource.origin_url or "").scheme == "http" and not settings.allow_http_origins:
        rule = "must use https, because every manifest request carries the token: change the URL, or set AllowHttpOrigins"
        yield Problem("resource.baseUrl", rule)
    configuration = desired.system.configuration
    if configuration is None or evidence.resource is None:
        return
    if evidence.resource.configured is not None:
        secret_arn = evidence.secret.secret.arn if evidence.secret else None
        yield from configured_problems(desired, configuration, evidence.resource, secret_arn, evidence.record)
        yield from _restore_problems(desired, evidence.resource.former_secret, settings)
    elif not isinstance(configuration, CreatingConfiguration):
        yield Problem("resource", "does not exist, and Latchkey cannot create it: create it first, or set configure to false")


def configured_problems(
    desired: Desired,
    configuration: Configuration,
    evidence: ResourceEvidence,
    secret_arn: str | None,
    record: AccessRecord | None,
) -> Iterator[Problem]:
    """An existing resource must be approved, support the request, and keep the token that its origin expects."""
    configured, target = evidence.configured, evidence.consent_target
    if configured is None:
        return
    yield from (Problem("resource", rule) for rule in configuration.unsupported_reasons(desired.resource, configured))
    if not _is_configured(desired, configuration, configured, secret_arn):
        yield from (Problem("resource", rule) for rule in configuration.refused_updates(configured))
    if target is not None and evidence.needs_consent and target.tags.get(CONSENT) != "adopt":
        yield Problem("resource", missing_consent(target.arn))
    yield from _token_problems(desired, configured, secret_arn, record)
    # Otherwise, a request could let the role read any secret.
    used = (configured.secret_arn, *configured.more_secret_arns)
    for index, arn in enumerate(desired.resource.other_secret_arns):
        if arn not in used:
            yield Problem(f"resource.otherSecrets.{index}", "is not accepted by the resource now: leave it out")


def _is_configured(desired: Desired, configuration: Configuration, configured: Configured, secret_arn: str | None) -> bool:
    """Whether the resource already reads this secret as requested, so that it needs no update."""
    # No setting of a resource depends on the key: only the policy of the reader role names it.
    wanted = configuration.wanted(desired.resource, desired.reading("", secret_arn)) if secret_arn else None
    return configured.settings == wanted


def _restore_problems(desired: Desired, former: FormerSecretEvidence | None, settings: Settings) -> Iterator[Problem]:
    """A resource is changed only if a rollback can restore it, which requires that its caller can read the former secret.

    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-configuring.html
    """
    if former is None:
        return
    role = settings.undo_role_arn
    if former.hidden:
        roles = desired.place.arn("iam", f"role/{desired.stack}-*", region="")
        rule = f"cannot be rolled back to {former.arn}, because AWS denies reading it: exempt {roles} in its Deny statements"
        yield Problem("resource", rule)
        return
    calls = ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")
    denied = {sid for call in calls for sid in restoring_denials(desired, former.policy, call, former.arn, role)}
    if denials := sorted(denied):
        rule = f"cannot be rolled back to {former.arn}, whose policy denies {role}: exempt this role in {', '.join(denials)}"
        yield Problem("resource", rule)
    if denials := restoring_denials(desired, former.key_policy, "kms:CreateGrant", THIS_KEY, role):
        where = f"{', '.join(denials)} in the policy of {former.key_arn}"
        rule = f"cannot be rolled back to {former.arn}, because {where} denies {role} kms:CreateGrant: exempt this role"
        yield Problem("resource", rule)
    closed = former.key_policy is not None and not policies.delegates_to_iam(former.key_policy, desired.place)
    if former.hidden_key or closed:
        root = desired.place.arn("iam", "root", region="")
        rule = (
            f"cannot be rolled back to {former.arn}, because the policy of {former.key_arn} does not delegate to IAM: "
            f"add a statement that allows kms:* on * to {root}"
        )
        yield Problem("resource", rule)


def public_problems(evidence: ResourceEvidence | None) -> Iterator[Problem]:
    """A confirmed resource admits nobody without the token. Latchkey removes no statement of somebody else."""
    named = evidence.configured.public_statements if evidence and evidence.configured else ()
    if named:
        rule = "has a policy that admits everybody without the token: restrict or remove its statements"
        yield Problem("resource", f"{rule} {', '.join(named)}, and confirm again")


def waits_for_token(
    desired: Desired,
    configured: Configured | None,
    secret_arn: str | None,
    record: AccessRecord | None,
    *,
    brings_new_token: bool = False,
) -> bool:
    """Whether a resource that is used now would refuse everybody, because nobody can have its new token yet.

    An existing token is imported or adopted because it is in use already, unless it is the new token of another access
    (`brings_new_token`). Those who used the secret `secret_arn` while the access was in service have its token as well. If a
    request keeps the value of a secret that is lost, those who use the resource have another token, whatever its system is.
    """
    if configured is None or desired.hands_off:
        return False
    keeps = desired.request.secret.keeps_value
    was_in_service = record is not None and record.reached == "active" and record.secret_arn == secret_arn
    if keeps and not configured.is_open:
        return not was_in_service and not _keeps_token(configured, {secret_arn or "", *desired.resource.other_secret_arns})
    if not desired.system.interrupts or desired.request.takes_effect_now:
        return False
    is_new = not was_in_service if keeps or desired.request.secret.value.generate is not None else brings_new_token
    return configured.is_open and is_new


def _keeps_token(configured: Configured, kept: Collection[str]) -> bool:
    """Whether a resource uses no secret except those `kept`, and no other way to authenticate."""
    return not configured.authentication and not _replaced_secrets(configured, kept)


def _replaced_secrets(configured: Configured, kept: Collection[str]) -> list[str]:
    """The secrets that a resource uses now, except those `kept`. A resource can name a secret by its name as well."""
    used = [arn for arn in (configured.secret_arn, *configured.more_secret_arns) if arn]
    return [arn for arn in used if not any(names_secret(arn, one) for one in kept)]


def _token_problems(
    desired: Desired, configured: Configured, secret_arn: str | None, record: AccessRecord | None
) -> Iterator[Problem]:
    """What a resource uses now works, so the request must ask for its replacement.

    A request that keeps the value replaces the lost secret of its access without being asked, after a confirmation.
    """
    if desired.request.secret.replaces_token:
        return
    path, make_sure = "secret.replacesToken", "make sure that the other side accepts the new token"
    if configured.authentication:
        yield Problem(path, f"must be true to replace {configured.authentication}, which the resource uses now: {make_sure}")
    is_lost = record is not None and desired.request.secret.keeps_value and desired.is_secret(record.secret_arn)
    lost = record.secret_arn if record is not None and is_lost else None
    named = (secret_arn, desired.secret_name, lost, _source_of_copy(desired), *desired.resource.other_secret_arns)
    if replaced := _replaced_secrets(configured, [name for name in named if name]):
        yield Problem(path, f"must be true to replace {', '.join(replaced)}, which the resource uses now: {make_sure}")


def _source_of_copy(desired: Desired) -> str | None:
    """The secret whose token the request copies: a resource that uses it keeps its token."""
    source = desired.request.secret.value.copy_from
    return source.secret_arn if source else None
