"""What the rules know about an account: frozen values, filled by `read_evidence`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from latchkey.access.lifecycle import State
from latchkey.access.record import AccessRecord
from latchkey.aws.keys import ObservedKey
from latchkey.aws.roles import ObservedRole
from latchkey.aws.secrets import ObservedSecret
from latchkey.policies import Document
from latchkey.requests.models import OnboardingRequest
from latchkey.systems.system import Configured


@dataclass(frozen=True)
class PrincipalEvidence:
    """A role or user of this account.

    `found_arn` is the ARN that IAM returns for its name, or None if it does not exist. `denied_actions` are the key operations
    that its own policies deny; they are read only for the users of a key that is given to a partner.
    """

    found_arn: str | None
    denied_actions: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeyEvidence:
    """The KMS key of the request.

    `key` is None if it does not exist, is in another account or Region, or denies a read of its metadata or tags. `recorded`:
    the registry has it as a key that an access uses or that was created for the alias. `hidden`: KMS denied a read of the key.
    `policy` is read only for a key that Latchkey is allowed to use, `grant_count` only for a key that a partner would use.
    `rotation_days` is the period of its rotation, None if it is off; it is read only if the request names a period.
    `refused_creation` are the calls that a new key requires and that the role of create_key is not allowed to make.
    """

    key: ObservedKey | None = None
    recorded: bool = False
    hidden: bool = False
    policy: Document | None = None
    other_accesses: frozenset[str] = frozenset()
    grant_count: int | None = None
    refused_creation: tuple[str, ...] = ()
    rotation_days: int | None = None


@dataclass(frozen=True)
class SecretEvidence:
    """The secret that the request adopts, or the one that already has the name of a new secret.

    `key` is the key that encrypts it, and `key_arn` the ARN of that key, or the identifier that Secrets Manager returns if KMS
    denies reading the key. For the default key, both can be None. `policy` is the resource policy that can be written, and
    `every_policy` has the statements of all its resource policies. They are read unless it is being deleted. `referred` means
    that the access of the request
    is recorded as a user of the secret. `origin_hosts` are the hosts that already receive the token. `present_hosts` are read
    only if the request copies a value into the secret: these hosts, those of a hand-off of the access, and the one to which the
    resource sends the secret now. `never_configured`: the registry proves that no resource was configured with the secret.
    `copied_from` are the ARNs of the secrets whose value a request, which can have failed, was about to copy.
    """

    secret: ObservedSecret
    key_arn: str | None = None
    key: ObservedKey | None = None
    policy: Document | None = None
    every_policy: Document | None = None
    referred: bool = False
    other_accesses: frozenset[str] = frozenset()
    origin_hosts: frozenset[str] = frozenset()
    present_hosts: frozenset[str] = frozenset()
    never_configured: bool = False
    copied_from: frozenset[str] = frozenset()

    @property
    def under_default_key(self) -> bool:
        """Whether the secret is encrypted with aws/secretsmanager, which can be named by its ID, ARN or alias as well."""
        return self.secret.kms_key_id is None or (self.key is not None and not self.key.customer_managed)


@dataclass(frozen=True)
class SourceEvidence:
    """The secret that `copyFrom` names, and the hosts that already receive its token.

    `secret` is None if the Region does not exist, or if it is `hidden`: AWS denies reading it.
    """

    region_exists: bool
    secret: ObservedSecret | None = None
    hidden: bool = False
    origin_hosts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RoleEvidence:
    """The IAM role that has the name of the reader role; `referred` means that the registry has it as a role of this access."""

    role: ObservedRole
    referred: bool


@dataclass(frozen=True)
class ConsentTarget:
    """The AWS resource whose tags express consent: the resource itself, or the one it is part of."""

    arn: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class FormerSecretEvidence:
    """A secret that a resource uses now, and that a rollback would have to restore or the reader role has to read as well.

    `key_policy` is None for the default key, and if KMS denied the read; in that case, `hidden_key` is true. If AWS denies
    reading the secret or its policy, only `hidden` is true.
    """

    arn: str
    policy: Document | None = None
    key_arn: str | None = None
    key_policy: Document | None = None
    hidden_key: bool = False
    hidden: bool = False
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class ResourceEvidence:
    """The consumer resource; `configured` is None if it does not exist.

    `consent_target` is the resource, or the one it is part of. Its tags name the tenant and, if `needs_consent`, must express
    consent. `former_secret` is read only if the request replaces a secret that the service reads without a role.
    """

    configured: Configured | None
    consent_target: ConsentTarget | None = None
    needs_consent: bool = True
    former_secret: FormerSecretEvidence | None = None

    @property
    def owner_tags(self) -> Mapping[str, str]:
        """The tags that the owner of the resource sets."""
        if self.consent_target is not None:
            return self.consent_target.tags
        return self.configured.tags if self.configured else {}


@dataclass(frozen=True)
class CompanionEvidence:
    """Another access that refers to the secret of a request that moves it.

    `state` is its phase or status, and `request` the recorded request; both are None if it is not recorded. `is_confirmed` is
    false while a hand-off of the access waits for its confirmation.
    """

    access_id: str
    state: State
    request: OnboardingRequest[Any] | None
    is_confirmed: bool = True


@dataclass(frozen=True)
class RequestEvidence:
    """All reads that the rules of one request are based on.

    A member is None (a principal: absent) if there is no such thing, or if no rule needs it. `resource` is None if the request
    configures no resource. `hidden_secret`: AWS denies reading the secret or its policy. `other_secrets` are those of this
    account and Region that the resource continues to accept. `pending` and `pending_request` are an unconfirmed hand-off of an
    access in service.
    """

    record: AccessRecord | None = None
    recorded_request: OnboardingRequest[Any] | None = None
    pending: AccessRecord | None = None
    pending_request: OnboardingRequest[Any] | None = None
    principals: Mapping[str, PrincipalEvidence] = field(default_factory=dict)
    role: RoleEvidence | None = None
    key: KeyEvidence = KeyEvidence()
    secret: SecretEvidence | None = None
    hidden_secret: bool = False
    source: SourceEvidence | None = None
    resource: ResourceEvidence | None = None
    other_secrets: Mapping[str, FormerSecretEvidence | None] = field(default_factory=dict)

    @property
    def recorded(self) -> Iterator[tuple[AccessRecord, OnboardingRequest[Any]]]:
        """The record and the unconfirmed hand-off of the access, each with the request that it fulfills."""
        for record, request in ((self.record, self.recorded_request), (self.pending, self.pending_request)):
            if record is not None and request is not None:
                yield record, request


@dataclass(frozen=True)
class ConsentEvidence:
    """The key and the secret of a recorded access, with their policies where consent is missing."""

    key: ObservedKey | None = None
    key_policy: Document | None = None
    secret: ObservedSecret | None = None
    secret_policy: Document | None = None
