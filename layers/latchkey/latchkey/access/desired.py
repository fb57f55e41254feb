"""The desired state of an access, computed from its request. Every step computes it again, so no step passes it on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from latchkey import policies
from latchkey.access.grants import ExpectedGrant
from latchkey.place import Place
from latchkey.policies import Statement
from latchkey.policies.reader_roles import ReaderRole
from latchkey.requests.models import OnboardingRequest
from latchkey.settings import Settings
from latchkey.systems import SYSTEMS
from latchkey.systems.readers import AccessFacts
from latchkey.systems.system import Reading, Resource, SecretShape, System
from latchkey.tags import ACCESS, DEFAULT_TENANT, MANAGED_BY, OURS, REQUEST, STACK, TENANT, other_stack, tenant_of


@dataclass(frozen=True)
class Share:
    """The statements of one access in a policy: those that it needs, and those that Latchkey writes for it and others.

    `extended` are statements that are extended with the others if the policy contains them, and are never added or removed.
    `former` are the statements of earlier versions, whose values the written ones replace.
    """

    needed: tuple[Statement, ...]
    written: tuple[Statement, ...]
    extended: tuple[Statement, ...] = ()
    former: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class Desired:
    """The desired state of one access. ARNs that AWS chooses are arguments of the methods.

    `rewrites`: the key policy needs our statements in their present form. By default, those of an earlier version suffice.
    """

    request: OnboardingRequest[Any]
    place: Place
    configure_role_arn: str
    key_writers: tuple[str, ...]
    reader_boundary_arn: str
    stack: str
    tenant: str = DEFAULT_TENANT
    secret_prefix: str = ""
    accepted_grantees: tuple[str, ...] = ()
    rewrites: bool = False

    @property
    def access_id(self) -> str:
        return self.request.access_id

    @property
    def system(self) -> System:
        return SYSTEMS[self.request.system]

    @property
    def resource(self) -> Resource:
        resource: Resource = self.request.resource
        return resource

    @property
    def alias(self) -> str | None:
        """The alias with which the key is found or created, or None if the request contains the ARN of the key."""
        key = self.request.key
        own = f"/{self.resource.name}" if self.system.key_is_exclusive else ""
        return None if key.arn else key.alias or f"{self.alias_prefix}{self.system.name}{own}"

    @property
    def alias_prefix(self) -> str:
        """The beginning of the default aliases of this tenant."""
        return f"alias/{self._namespace}"

    @property
    def _namespace(self) -> str:
        return "latchkey/" if self.tenant == DEFAULT_TENANT else f"latchkey/{self.tenant}/"

    @property
    def secret_name(self) -> str:
        if self.existing_secret_arn:
            return self.existing_secret_arn.split(":", 6)[6][: -len("-abcdef")]
        # The name of a resource can contain spaces; the name of a secret cannot.
        name = self.resource.name.replace(" ", "-")
        return self.request.secret.name or f"{self._namespace}{self.system.name}/{name}/token"

    @property
    def existing_secret_arn(self) -> str | None:
        existing = self.request.secret.value.existing
        return existing.secret_arn if existing else None

    @property
    def secret_id(self) -> str:
        """The ARN or, for a secret that Latchkey creates, the name: what the API accepts as `SecretId`."""
        return self.existing_secret_arn or self.secret_name

    @property
    def secret_resource(self) -> str:
        """The secret's key in the registry: its name, because its ARN is unknown before it is created."""
        return f"secret {self.secret_name}"

    def is_secret(self, arn: str | None) -> bool:
        """Whether this is the ARN of the request's secret, with any random suffix or, as a resource can have it, without one.

        https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
        """
        partial = self.place.arn("secretsmanager", f"secret:{self.secret_name}")
        return arn is not None and arn in (self.existing_secret_arn, partial, f"{partial}-{arn[-6:]}")

    @property
    def reads_secret(self) -> bool:
        return self.system.secret is not None

    @property
    def has_role(self) -> bool:
        """Whether the service reads through a role that it assumes."""
        return self.reads_secret and self.system.reader.role(self.facts, "", "") is not None

    @cached_property
    def secret_shape(self) -> SecretShape | None:
        """The shape of the secret's value, or None if the system reads no secret."""
        return self.system.secret(self.resource) if self.system.secret else None

    @property
    def hands_off(self) -> bool:
        """Whether the owner configures the resource."""
        return not self.resource.configure

    @property
    def configures(self) -> bool:
        """Whether Latchkey configures the resource, now or after a confirmation."""
        return self.system.configuration is not None and not self.hands_off

    @property
    def can_be_removed(self) -> bool:
        """Whether a rollback can restore a resource that had no settings of this kind before."""
        return self.system.configuration is None or self.system.configuration.can_be_removed

    @property
    def needs_secret(self) -> bool:
        """Whether the access requires a new secret."""
        return self.system.secret is not None and self.existing_secret_arn is None

    @property
    def secret_arn_pattern(self) -> str:
        """The ARN of the secret. For a new secret, it ends in six question marks instead of the random suffix."""
        return self.existing_secret_arn or self.place.arn("secretsmanager", f"secret:{self.secret_name}-??????")

    @property
    def secrets_pattern(self) -> str:
        """The pattern in key policies that matches the secret: the prefix of the tenant's secrets, if its name has it."""
        has_prefix = self.secret_prefix and self.secret_name.startswith(self.secret_prefix)
        return self.place.arn("secretsmanager", f"secret:{self.secret_prefix}*") if has_prefix else self.secret_arn_pattern

    @property
    def grant_name(self) -> str | None:
        """The name of the grant that the service creates for this resource, or None if it creates none."""
        granted = self.system.granted
        return granted[0].grant_name(self.place, self.resource.name) if granted else None

    def grant_for(self, secret_arn: str, resource_arn: str) -> ExpectedGrant | None:
        """The grant through which the resource reads this secret, or None if its service creates none."""
        return ExpectedGrant(self.grant_name, secret_arn, resource_arn, self.accepted_grantees) if self.grant_name else None

    @cached_property
    def facts(self) -> AccessFacts:
        """The facts from which the reader of the system builds statements and role."""
        return AccessFacts(
            access_id=self.access_id,
            system=self.system.name,
            resource_name=self.resource.name,
            place=self.place,
            configure_role_arn=self.configure_role_arn,
            management_roles=self.request.management_roles,
            origin_readers=self.request.secret.origin_readers,
            secret_arn_pattern=self.secret_arn_pattern,
            secrets_patterns=(self.secrets_pattern, policies.KEY_VALIDATION),
            partners=self.resource.partners,
            other_secret_arns=self.resource.other_secret_arns,
        )

    def role(self, key_arn: str, secret_arn: str) -> ReaderRole | None:
        """The role through which the service reads, or None if it needs none."""
        return self.system.reader.role(self.facts, key_arn, secret_arn)

    def reading(self, key_arn: str, secret_arn: str) -> Reading:
        """The secret and the role with which the resource is configured."""
        role = self.role(key_arn, secret_arn)
        return Reading(secret_arn, role.arn(self.place) if role else None)

    @cached_property
    def key_statements(self) -> tuple[Statement, ...]:
        """Our statements in the key policy: one for each purpose, with all its principals.

        They are the same for every access of a tenant with the same roles, so the policy does not grow with the accesses.
        """
        return (*self.system.reader.key_statements(self.facts), *self._powers.values())

    @cached_property
    def needed_key_statements(self) -> tuple[Statement, ...]:
        """The statements that the key policy must include for this access: for its secret, and for no other one of the tenant.

        Latchkey wrote these statements until version 0.2.0.
        """
        alone = replace(self.facts, secrets_patterns=(self.secret_arn_pattern,))
        return (*self.system.reader.key_statements(alone), *self._powers.values())

    @cached_property
    def known_key_statements(self) -> tuple[Statement, ...]:
        """Our statements in the key policy, in every form that any version of Latchkey wrote."""
        return tuple(policies.union([self.key_statements, self.needed_key_statements]))

    @property
    def key_statements_by_principal(self) -> dict[str, tuple[Statement, ...]]:
        """The needed statements of the key policy by the kind of principal that needs them. They have the same Sids together.

        The roles that configure the resource, or the partner, always have an entry.
        """
        alone = replace(self.facts, secrets_patterns=(self.secret_arn_pattern,), origin_readers=())
        readers, powers = self.request.secret.origin_readers, self._powers
        by_principal = {
            "origin readers": (policies.decryption(readers, alone.secrets_patterns, self.place),) if readers else (),
            "administrators": tuple(powers[path] for path in ("key.administrators", "key.allowDeletion") if path in powers),
            "users": tuple(powers[path] for path in ("key.users",) if path in powers),
        }
        named = {name: statements for name, statements in by_principal.items() if statements}
        return {"roles": self.system.reader.key_statements(alone)} | named

    @property
    def _powers(self) -> dict[str, Statement]:
        """The statements for administrators and users of the key, by path in the request."""
        key = self.request.key
        requested = {
            "key.administrators": policies.administration(key.administrators) if key.administrators else None,
            "key.allowDeletion": policies.deletion(key.administrators) if key.administrators and key.allow_deletion else None,
            "key.users": policies.use(key.users) if key.users else None,
        }
        return {path: statement for path, statement in requested.items() if statement}

    @property
    def asks_for_powers(self) -> bool:
        """Whether the request names administrators or users of the key."""
        return bool(self._powers)

    def powers_missing_from(self, policy: policies.Document) -> list[str]:
        """The paths of the request whose statements a key policy does not contain yet."""
        return [path for path, statement in self._powers.items() if policies.missing_from(policy, [statement])]

    def key_share(self, former_secret_arn: str | None = None) -> Share:
        """What this access needs in the policy of its key. A secret that leaves the default key keeps its readers."""
        secrets = [former_secret_arn] if former_secret_arn else []
        needed = (policies.default_key_rule(secrets, self.place),) if secrets else ()
        written = (policies.default_key_rule([*secrets, policies.KEY_VALIDATION], self.place),) if secrets else ()
        former = (*self.needed_key_statements, *needed)
        present = (*self.key_statements, *written)
        return Share(present if self.rewrites else former, present, (policies.creation(self.key_writers),), former)

    @property
    def new_key_policy(self) -> policies.Document:
        """The complete policy of a new key."""
        creation = policies.creation(self.key_writers)
        return policies.new_document((policies.delegation(self.place), creation, *self.key_statements))

    def secret_statements(self, secret_arn: str) -> tuple[Statement, ...]:
        """Our statements in the secret's resource policy."""
        readers = self.request.secret.origin_readers
        own = self.system.reader.secret_statements(self.facts, secret_arn)
        return (*own, policies.role_reading(readers, secret_arn)) if readers else own

    def service_statements(self, secret_arn: str) -> tuple[Statement, ...]:
        """Our statements in the secret's resource policy for the service alone."""
        return self.system.reader.secret_statements(replace(self.facts, management_roles=()), secret_arn)

    def secret_statements_by_principal(self, secret_arn: str) -> dict[str, tuple[Statement, ...]]:
        """Our other statements in the secret's resource policy, by the kind of principal that needs them."""
        own, readers = self.system.reader.secret_statements(self.facts, secret_arn), self.request.secret.origin_readers
        service = self.service_statements(secret_arn)
        by_principal = {
            "management roles": tuple(statement for statement in own if statement not in service),
            "origin readers": (policies.role_reading(readers, secret_arn),) if readers else (),
        }
        return {name: statements for name, statements in by_principal.items() if statements}

    def secret_share(self, secret_arn: str) -> Share:
        """What this access needs in the resource policy of its secret."""
        statements = self.secret_statements(secret_arn)
        return Share(statements, statements)

    @property
    def version_id(self) -> str:
        """The ID of the secret version that the request creates: the same in every attempt, so that one request creates one."""
        return version_id(self.request.request_id)

    def made(self, tags: Mapping[str, str]) -> bool:
        """Whether this request created the resource with these tags."""
        return self.made_by(self.request.request_id, tags)

    def made_by(self, request_id: str, tags: Mapping[str, str]) -> bool:
        """Whether a request of this tenant created the resource with these tags. Two tenants or stacks can use the same id."""
        return tags.get(REQUEST) == request_id and other_stack(tags, self.stack) is None and self.owns(tags)

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Whether the resource with these tags belongs to the tenant of this request."""
        return tenant_of(tags) == self.tenant

    def tags(self, *, shared: bool = False) -> dict[str, str]:
        """The tags of resources that this request creates. A `shared` resource can also serve other accesses."""
        own = {MANAGED_BY: OURS, STACK: self.stack, REQUEST: self.request.request_id, TENANT: self.tenant}
        return self.request.tags | own | ({} if shared else {ACCESS: self.access_id})


def version_id(request_id: str) -> str:
    """The ID of the secret version that a request creates."""
    return hashlib.sha256(request_id.encode()).hexdigest()


def desire(request: OnboardingRequest[Any], settings: Settings, tenant: str) -> Desired:
    """The desired state for a request of a tenant in this stack."""
    return Desired(
        request=request,
        place=settings.place,
        configure_role_arn=settings.configure_role_arn,
        key_writers=settings.key_writers,
        reader_boundary_arn=settings.reader_boundary_arn,
        stack=settings.stack,
        tenant=tenant,
        secret_prefix=settings.secret_prefix if tenant == DEFAULT_TENANT else f"latchkey/{tenant}/",
        accepted_grantees=settings.accepted_grantees,
    )
