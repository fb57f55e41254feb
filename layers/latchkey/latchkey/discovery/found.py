"""What is known about one discovered resource, what speaks against its adoption, and the request that would adopt it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from latchkey import policies
from latchkey.access.bounds import Bounds, bounds_problems, is_in_account
from latchkey.access.consent import missing_consent, secret_rules
from latchkey.access.desired import desire
from latchkey.aws.grants import Grant
from latchkey.aws.keys import ObservedKey
from latchkey.aws.secrets import DEFAULT_KEY, ObservedSecret
from latchkey.errors import InvalidRequest, Problem
from latchkey.policies.document import Document, named_principals
from latchkey.requests.parsing import parse_onboarding
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.settings import Settings
from latchkey.systems.readers import AssumedRole
from latchkey.systems.system import Configured, System
from latchkey.tags import CONSENT, is_ours_or_consented
from latchkey.wire import WireModel

# A discovery reads no value, so only the onboarding finds a value of another shape.
UNKNOWN_SHAPE = "has a value that a discovery does not read: the request is rejected if the service could not use it"


class Obstacle(WireModel):
    """What speaks against an adoption: the ARN or member that it is about, and the rule with what to do."""

    subject: str
    rule: str


class NeededConsent(WireModel):
    """A tag with which the owner of a resource, secret or key consents that Latchkey adopts it."""

    arn: str
    tag: str = f"{CONSENT}=adopt"


class FoundResource(WireModel):
    """A resource that uses a secret and that Latchkey does not manage: who reads what under which key.

    `reader` is the service principal or the role that reads the secret. `key_arn` is None for aws/secretsmanager. `granted` are
    the IDs of the grants for the secret on its key, `admitted` the principals that the policy of the secret names, and
    `shared_with` the other discovered resources with this secret. `request` would adopt the resource once every consent is
    given. It is None if no request can.
    """

    access_id: str
    system: str
    resource_arn: str
    secret_arn: str
    key_arn: str | None
    reader: str
    granted: tuple[str, ...]
    admitted: tuple[str, ...]
    shared_with: tuple[str, ...]
    consents: tuple[NeededConsent, ...]
    obstacles: tuple[Obstacle, ...]
    request: dict[str, Any] | None


@dataclass(frozen=True)
class DiscoveredSecret:
    """The secret of a discovered resource, as far as it could be read, and its key; `key` is None for aws/secretsmanager.

    `policy` are all its resource policies, and `grants` those on its key.
    """

    secret: ObservedSecret
    key_id: str
    key: ObservedKey | None
    policy: Document | None
    grants: tuple[Grant, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def is_under_default_key(self) -> bool:
        """Whether the secret is encrypted with aws/secretsmanager, which no policy can share with a service."""
        return self.key_id == DEFAULT_KEY


@dataclass(frozen=True)
class Discovered:
    """One resource with its configuration, and what its owner tags to consent. `secret` is None if it does not exist."""

    system: System
    members: Mapping[str, Any]
    present: Configured
    target: tuple[str, Mapping[str, str]]
    secret: DiscoveredSecret | None

    @property
    def secret_arn(self) -> str:
        """The secret that the resource names."""
        return self.secret.secret.arn if self.secret else self.present.secret_arn or ""


def request_of(found: Discovered) -> dict[str, Any]:
    """The request that would adopt a resource. Its consents to a change of the resource or of its key are those of a person."""
    arn = found.secret_arn
    request: dict[str, Any] = {
        "requestId": f"adopt-{hashlib.sha256(f'{found.system.name} {found.present.arn} {arn}'.encode()).hexdigest()[:32]}",
        "system": found.system.name,
        "resource": {**found.members},
        "secret": {"value": {"existing": {"secretArn": arn}}},
    }
    if found.secret and found.secret.key:
        request["key"] = {"arn": found.secret.key.arn}
    return request


def describe(found: Discovered, settings: Settings, tenant: str, bounds: Bounds) -> FoundResource | None:
    """What a tenant is shown of a resource, or None if the tenant is not allowed to name it.

    Who shares its secret is known only after all resources were read.
    """
    request, desired = request_of(found), None
    invalid: tuple[Problem, ...] = ()
    try:
        parsed = parse_onboarding(request)
    except InvalidRequest as error:
        invalid = error.problems
    else:
        desired = desire(parsed, settings, tenant)
    if bounds.document.resources is not None and desired is None:
        return None
    problems = [*bounds_problems(desired, bounds)] if desired else []
    if any(problem.rule == NOT_ALLOWED for problem in problems) or not _is_allowed(found, bounds):
        return None
    obstacles = sorted({*_obstacles(found, settings), *_of(invalid), *_of(problems)}, key=lambda one: (one.subject, one.rule))
    reader = found.present.settings.get("roleArn") or f"{found.system.name}.amazonaws.com"
    known = found.secret
    return FoundResource(
        accessId=desired.access_id if desired else f"{found.system.name}/{found.system.resource.kind}/?",
        system=found.system.name,
        resourceArn=found.present.arn,
        secretArn=found.secret_arn,
        keyArn=known.key.arn if known and known.key else None,
        reader=reader,
        granted=tuple(sorted(one.grant_id for one in known.grants if one.secret_arn == found.secret_arn)) if known else (),
        admitted=tuple(named_principals(known.policy)) if known and known.policy else (),
        sharedWith=(),
        consents=tuple(_consents(found, settings)),
        obstacles=tuple(obstacles),
        request=request if desired and known else None,
    )


def access_id(found: Discovered) -> str | None:
    """The ID of the access that would adopt a resource, or None if no request can."""
    try:
        return parse_onboarding(request_of(found)).access_id
    except InvalidRequest:
        return None


def _is_allowed(found: Discovered, bounds: Bounds) -> bool:
    """Whether a tenant can name the secret and the key of a resource. The default tenant can name all."""
    document = bounds.document
    if document.secret_prefix is not None and f":secret:{document.secret_prefix}" not in found.secret_arn:
        return False
    aliases = found.secret.aliases if found.secret else ()
    return document.key_aliases is None or any(_matches(alias, document.key_aliases) for alias in aliases)


def _consents(found: Discovered, settings: Settings) -> Iterator[NeededConsent]:
    arn, tags = found.target
    known = found.secret
    owned = [(arn, tags)]
    if known:
        owned.append((known.secret.arn, known.secret.tags))
        owned += [(known.key.arn, known.key.tags)] if known.key else []
    for owner, of_owner in owned:
        if not is_ours_or_consented(of_owner, settings.stack):
            yield NeededConsent(arn=owner)


def _obstacles(found: Discovered, settings: Settings) -> Iterator[Obstacle]:
    """Everything but missing consent, which `consents` lists."""
    arn, known = found.secret_arn, found.secret
    if not is_in_account(arn, settings) or arn.split(":")[3] != settings.place.region:
        yield Obstacle(
            subject=arn, rule="is in another account or Region: copy its value into a secret of this one with copyFrom"
        )
    if known is None:
        yield Obstacle(subject=arn, rule="does not exist: the service cannot read a token")
        return
    secret, ignored = known.secret, missing_consent(known.secret.arn)
    for rule in secret_rules(secret, secret.arn, "adopt"):
        if rule != ignored:
            yield Obstacle(subject=arn, rule=rule)
    prefixes = (settings.secret_prefix, settings.adopted_secret_prefix)
    if isinstance(found.system.reader, AssumedRole) and not secret.name.startswith(prefixes):
        named = " or ".join(prefixes)
        rule = f"has a name that reader roles cannot read: copy its value into a secret under {named} with copyFrom"
        yield Obstacle(subject=arn, rule=rule)
    if not secret.has_value:
        yield Obstacle(subject=arn, rule="has no current version: store a value")
    if secret.replica_of:
        yield Obstacle(
            subject=arn, rule=f"is a replica: adopt the primary secret in {secret.replica_of}, or promote the replica"
        )
    if secret.is_rotated:
        yield Obstacle(subject=arn, rule="is rotated by Secrets Manager: Latchkey leaves its value to that rotation")
    yield Obstacle(subject=arn, rule=UNKNOWN_SHAPE)
    if public := policies.public_statements(known.policy):
        yield Obstacle(subject=arn, rule=f"has a public policy: remove the statements {', '.join(public)}")
    yield from _key_obstacles(known)
    for rule in found.system.configuration.refused_updates(found.present) if found.system.configuration else ():
        yield Obstacle(subject=found.present.arn, rule=rule)
    for statement in found.present.public_statements:
        yield Obstacle(
            subject=found.present.arn, rule=f"admits everybody by the statement {statement}: remove it after the onboarding"
        )


def _key_obstacles(known: DiscoveredSecret) -> Iterator[Obstacle]:
    if known.is_under_default_key:
        rule = "is encrypted with aws/secretsmanager, which no service can be admitted to: the request moves it to a new key"
        yield Obstacle(subject=known.secret.arn, rule=rule)
        return
    if known.key is None:
        yield Obstacle(subject=known.key_id, rule="does not exist, or is not readable: nobody can read the secret")
        return
    if not known.key.customer_managed or not known.key.encrypts_symmetrically:
        yield Obstacle(subject=known.key.arn, rule="is no symmetric customer managed key: move the secret to another key")
    if known.key.state != "Enabled":
        yield Obstacle(subject=known.key.arn, rule=f"is in the state {known.key.state}: enable the key")


def _of(problems: tuple[Problem, ...] | list[Problem]) -> set[Obstacle]:
    return {Obstacle(subject=problem.path, rule=problem.rule) for problem in problems}


def _matches(value: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)
