"""From a request to what should be true: pure, and computed anew in every step, so that no document grows on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from latchkey import policies
from latchkey.place import Place
from latchkey.policies import Statement
from latchkey.policies.reader_roles import ReaderRole
from latchkey.requests.models import OnboardingRequest
from latchkey.settings import Settings
from latchkey.systems import SYSTEMS
from latchkey.systems.system import Reading, Resource, SecretShape, System
from latchkey.tags import ACCESS, MANAGED_BY, OURS, REQUEST

if TYPE_CHECKING:
    from latchkey.systems.adobe_experience_platform import PartnerStatement


@dataclass(frozen=True)
class Desired:
    """What should be true of one access. Whatever AWS decides on making it (the ARNs) is an argument of the methods."""

    request: OnboardingRequest[Any]
    place: Place
    configure_role_arn: str
    create_key_role_arn: str
    reader_boundary_arn: str

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
        """The alias by which the key is found or made; None if the request names the key by its ARN."""
        key = self.request.key
        own = f"/{self.resource.name}" if self.system.key_is_exclusive else ""
        return None if key.arn else key.alias or f"alias/latchkey/{self.system.name}{own}"

    @property
    def secret_name(self) -> str:
        if self.existing_secret_arn:
            return self.existing_secret_arn.split(":", 6)[6][: -len("-abcdef")]
        # What a resource may be called beyond what a secret may.
        name = self.resource.name.replace(" ", "-")
        return self.request.secret.name or f"latchkey/{self.system.name}/{name}/token"

    @property
    def existing_secret_arn(self) -> str | None:
        existing = self.request.secret.value.existing
        return existing.secret_arn if existing else None

    @property
    def secret_resource(self) -> str:
        """The secret in the registry: by name, since its ARN is not known before it is made."""
        return f"secret {self.secret_name}"

    def is_secret(self, arn: str | None) -> bool:
        """Is it the ARN of this request's secret, whichever suffix Secrets Manager gave it?"""
        begins = self.place.arn("secretsmanager", f"secret:{self.secret_name}-")
        return arn is not None and arn in (self.existing_secret_arn, begins + arn[-6:])

    @property
    def origin_host(self) -> str | None:
        """The host the resource sends the token to, if its system names one."""
        return urlsplit(getattr(self.resource, "base_url", "")).hostname

    @property
    def reads_secret(self) -> bool:
        return self.system.secret is not None

    @cached_property
    def secret_shape(self) -> SecretShape | None:
        """The form of the secret's value, or None if the system reads none."""
        return self.system.secret(self.resource) if self.system.secret else None

    @property
    def hands_off(self) -> bool:
        """Is the last step, to configure the resource, left to its owner?"""
        return not self.resource.configure

    @property
    def needs_secret(self) -> bool:
        """Is there a secret to be made, rather than none or one that exists?"""
        return self.system.secret is not None and self.existing_secret_arn is None

    @property
    def secret_arn_pattern(self) -> str:
        """The secret's ARN, with the six characters that Secrets Manager chooses left open for one still to be made."""
        return self.existing_secret_arn or self.place.arn("secretsmanager", f"secret:{self.secret_name}-??????")

    @property
    def managers(self) -> tuple[str, ...]:
        """Who configures the resource: our own function and the roles of the request."""
        return (self.configure_role_arn, *self.request.management_roles)

    @property
    def grant_name(self) -> str | None:
        """The name of the grant that the service makes for this resource, or None if it makes none."""
        granted = self.system.granted
        return granted[0].grant_name(self.place, self.resource.name) if granted else None

    @property
    def partner_statements(self) -> tuple[PartnerStatement, ...]:
        """What a partner asks for in the key policy, if the resource is a partner's."""
        statements: tuple[PartnerStatement, ...] = getattr(self.resource, "partner_statements", ())
        return statements

    def role(self, key_arn: str, secret_arn: str) -> ReaderRole | None:
        """The role through which the service reads, or None if it needs none."""
        return self.system.reader.role(self, key_arn, secret_arn)

    def reading(self, key_arn: str, secret_arn: str) -> Reading:
        """What the resource is pointed at."""
        role = self.role(key_arn, secret_arn)
        return Reading(secret_arn, role.arn(self.place) if role else None)

    @cached_property
    def key_statements(self) -> tuple[Statement, ...]:
        """Our statements in the key policy: one for each purpose, with a list of principals."""
        return (*self.system.reader.key_statements(self), *self._powers.values())

    @property
    def _powers(self) -> dict[str, Statement]:
        """The statements that give power over the key itself, by their places in the request."""
        key = self.request.key
        asked = {
            "key.administrators": policies.administration(key.administrators) if key.administrators else None,
            "key.allowDeletion": policies.deletion(key.administrators) if key.administrators and key.allow_deletion else None,
            "key.users": policies.use(key.users) if key.users else None,
        }
        return {place: statement for place, statement in asked.items() if statement}

    @property
    def asks_for_powers(self) -> bool:
        return bool(self._powers)

    def powers_missing_from(self, policy: policies.Document) -> list[str]:
        """The places of a request that ask for power over the key beyond what its policy gives already."""
        return [place for place, statement in self._powers.items() if policies.missing_from(policy, [statement])]

    def key_statements_beside(self, secret_arn: str, *, under_default_key: bool) -> tuple[Statement, ...]:
        """Our statements in the policy of a key that a secret comes under; one from the default key keeps its readers."""
        former = (policies.default_key_rule([secret_arn], self.place),) if under_default_key else ()
        return (*self.key_statements, *former)

    @property
    def new_key_policy(self) -> policies.Document:
        creation = policies.creation(self.create_key_role_arn)
        return policies.new_document((policies.delegation(self.place), creation, *self.key_statements))

    def secret_statements(self, secret_arn: str) -> tuple[Statement, ...]:
        """Our statements in the secret's resource policy."""
        readers = self.request.secret.origin_readers
        own = self.system.reader.secret_statements(self, secret_arn)
        return (*own, policies.role_reading(readers, secret_arn)) if readers else own

    def made(self, tags: Mapping[str, str]) -> bool:
        """Do a resource's tags say that this request made it?"""
        return tags.get(REQUEST) == self.request.request_id

    def tags(self, *, shared: bool = False) -> dict[str, str]:
        """Tags of what this request makes; a `shared` resource may come to serve more accesses than this one."""
        own = {MANAGED_BY: OURS, REQUEST: self.request.request_id}
        return self.request.tags | own | ({} if shared else {ACCESS: self.access_id})


def desire(request: OnboardingRequest[Any], settings: Settings) -> Desired:
    roles = (settings.configure_role_arn, settings.create_key_role_arn)
    return Desired(request, settings.place, *roles, settings.reader_boundary_arn)
