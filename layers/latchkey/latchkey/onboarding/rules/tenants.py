"""Rules between tenants: a request uses only what belongs to its own tenant.

A request for something of another tenant is rejected before every other rule, with no other problem, so that the rejection
reveals nothing about it. A resource that Latchkey did not create belongs to the tenant that its owner names in the tag
`latchkey:tenant`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from latchkey.access.desired import Desired
from latchkey.access.record import AccessRecord
from latchkey.errors import Problem
from latchkey.onboarding.rules.evidence import ConsentEvidence, RequestEvidence, ResourceEvidence
from latchkey.onboarding.rules.key import key_path
from latchkey.onboarding.rules.secret import EXISTING_PATH, SOURCE_PATH
from latchkey.requests.sender import NOT_ALLOWED, is_tenant
from latchkey.systems import SYSTEMS
from latchkey.tags import DEFAULT_TENANT, TENANT


def tenant_problems(
    desired: Desired, evidence: RequestEvidence, tenant_using: Callable[[str], str | None]
) -> Iterator[Problem]:
    """The parts of a request that belong to another tenant, by their tags or by the accesses that use them.

    `tenant_using` returns the tenant whose accesses use a key, secret or role, or None if no access does.
    """
    key, secret, source, role = evidence.key.key, evidence.secret, evidence.source, evidence.role
    if key is not None and (not desired.owns(key.tags) or _is_used_by_another(desired, tenant_using(key.arn))):
        yield Problem(key_path(desired), NOT_ALLOWED)
    if desired.reads_secret:
        is_tagged = secret is not None and not desired.owns(secret.secret.tags)
        if is_tagged or _is_used_by_another(desired, tenant_using(desired.secret_resource)):
            yield Problem(EXISTING_PATH if desired.existing_secret_arn else "secret.name", NOT_ALLOWED)
    if source is not None and source.secret is not None and not desired.owns(source.secret.tags):
        yield Problem(SOURCE_PATH, NOT_ALLOWED)
    for index, arn in enumerate(desired.resource.other_secret_arns):
        other = evidence.other_secrets.get(arn)
        if other is not None and not other.hidden and not desired.owns(other.tags):
            yield Problem(f"resource.otherSecrets.{index}", NOT_ALLOWED)
    if role is not None and not desired.owns(role.role.tags):
        yield Problem("resource", NOT_ALLOWED)
    if evidence.resource is not None and is_foreign_resource(desired, evidence.resource, evidence.record):
        yield Problem("resource", NOT_ALLOWED)


def is_foreign_resource(desired: Desired, evidence: ResourceEvidence, record: AccessRecord | None) -> bool:
    """Whether the resource belongs to another tenant by its tags. Without a tenant tag, it belongs to its recorded access.

    configure_access calls this again on its last read before the update.
    """
    tags = evidence.owner_tags
    return evidence.configured is not None and not desired.owns(tags) and (record is None or TENANT in tags)


def is_foreign_access(desired: Desired, evidence: ConsentEvidence) -> bool:
    """Whether the key or the secret of a recorded access now belongs to another tenant by its tags."""
    return any(found is not None and not desired.owns(found.tags) for found in (evidence.key, evidence.secret))


def _is_used_by_another(desired: Desired, tenant: str | None) -> bool:
    return tenant is not None and tenant != desired.tenant


def name_problems(desired: Desired, is_known: Callable[[str], bool]) -> Iterator[Problem]:
    """New names must not be the default names of another tenant, so that nobody takes them first."""
    if desired.alias and _is_reserved(desired.alias.removeprefix("alias/"), desired, is_known):
        yield Problem("key.alias", NOT_ALLOWED)
    if desired.needs_secret and _is_reserved(desired.secret_name, desired, is_known):
        yield Problem("secret.name", NOT_ALLOWED)


def _is_reserved(name: str, desired: Desired, is_known: Callable[[str], bool]) -> bool:
    """Whether a name has the prefix of the default names of another tenant: `latchkey/<system>` or `latchkey/<tenant>/`."""
    begins, *rest = name.removeprefix("latchkey/").split("/", 1)
    if not name.startswith("latchkey/") or begins == desired.tenant:
        return False
    if begins in SYSTEMS:
        return desired.tenant != DEFAULT_TENANT
    return bool(rest) and is_tenant(begins) and begins != DEFAULT_TENANT and is_known(begins)
