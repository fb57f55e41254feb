"""Rules for the consumer resource and for the role through which its service reads."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from latchkey.access.desired import Desired
from latchkey.errors import Problem
from latchkey.onboarding.rules import bounds
from latchkey.onboarding.rules.consent import missing_consent, was_created_for
from latchkey.onboarding.rules.evidence import RequestEvidence
from latchkey.settings import Settings
from latchkey.systems.system import Configuration, Configured, CreatingConfiguration
from latchkey.tags import ACCESS, CONSENT, is_ours_or_consented


def role_problems(desired: Desired, evidence: RequestEvidence) -> Iterator[Problem]:
    """A role with the name of the reader role must be the role of this access.

    The tag alone does not prove that, because anybody who can create roles can set it; the registry also has the role's ARN.
    """
    found = evidence.role
    if found is not None and (not found.referred or found.role.tags.get(ACCESS) != desired.access_id):
        rule = f"{found.role.arn} has the name of this access's role and was not created by Latchkey: delete that role"
        yield Problem("resource", rule)


def host_problems(desired: Desired, evidence: RequestEvidence, settings: Settings) -> Iterator[Problem]:
    """An existing token goes only to hosts that already receive it or that the stack allows."""
    found, host = evidence.secret, desired.resource.origin_host
    if found is None or host is None:
        return
    # A failed request created the secret, so its token was never sent. A secret of another registry may have been in use.
    if found.referred and was_created_for(desired, found.secret) and evidence.record is None:
        return
    if not bounds.allows_host(host, settings) and host not in found.origin_hosts:
        rule = (
            "is not a host that already receives this secret: use such a host, "
            "or add this one to the stack parameter AllowedOriginHosts"
        )
        yield Problem("resource.baseUrl", rule)


def is_configured_by_api(desired: Desired) -> bool:
    """Whether the request configures a resource in this account and Region."""
    has_api = desired.system.configuration is not None and not desired.hands_off
    return has_api and not desired.resource.wrong_location(desired.place)


def resource_problems(desired: Desired, evidence: RequestEvidence, settings: Settings) -> Iterator[Problem]:
    """The resource must be in this account and Region, exist, be approved, and keep what its origin expects."""
    yield from (Problem(f"resource.{path}", rule) for path, rule in desired.resource.wrong_location(desired.place).items())
    if urlsplit(desired.resource.origin_url or "").scheme == "http" and not settings.allow_http_origins:
        rule = "must use https, because every manifest request carries the token: change the URL, or set AllowHttpOrigins"
        yield Problem("resource.baseUrl", rule)
    configuration = desired.system.configuration
    if configuration is None or evidence.resource is None:
        return
    if evidence.resource.configured is not None:
        yield from _configured_problems(desired, configuration, evidence.resource.configured, evidence)
    elif not isinstance(configuration, CreatingConfiguration):
        yield Problem("resource", "does not exist, and Latchkey cannot create it: create it first, or set configure to false")


def _configured_problems(
    desired: Desired, configuration: Configuration, configured: Configured, evidence: RequestEvidence
) -> Iterator[Problem]:
    yield from (Problem("resource", rule) for rule in configuration.unsupported_reasons(desired.resource, configured))
    target = evidence.resource.consent_target if evidence.resource else None
    if target is not None and target.tags.get(CONSENT) != "adopt":
        yield Problem("resource", missing_consent(target.arn))
    is_foreign = not is_ours_or_consented(dict(configured.tags))
    if is_foreign and configured.settings.get("baseUrl", "") != (desired.resource.origin_url or ""):
        rule = (
            f"differs from the base URL of {configured.arn}, which Latchkey did not create: "
            f"keep that URL, or add the tag {CONSENT}=adopt to the resource"
        )
        yield Problem("resource.baseUrl", rule)
    yield from _token_problems(desired, configured, evidence)


def _token_problems(desired: Desired, configured: Configured, evidence: RequestEvidence) -> Iterator[Problem]:
    """A new token breaks a resource whose origin still expects the present one, so the request must ask for it."""
    request = desired.request.secret
    if configured.secret_arn is None or request.value.generate is None or request.replaces_token:
        return
    if evidence.secret is None or evidence.secret.secret.arn != configured.secret_arn:
        rule = "must be true to replace the token that the resource sends now: make sure that its origin accepts the new one"
        yield Problem("secret.replacesToken", rule)
