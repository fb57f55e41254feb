"""How a system reads: as a service principal, through a role its service assumes, or as partners that the key policy names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latchkey import policies
from latchkey.place import Place
from latchkey.policies import Statement, reader_roles

if TYPE_CHECKING:
    from latchkey.access.desired import Desired


class Reader(ABC):
    """What must be said in policies so that it can read; all of it pure."""

    # May a request name roles that configure the resource? Only where the policies must know them.
    knows_managers = False

    @abstractmethod
    def key_statements(self, access: Desired) -> tuple[Statement, ...]:
        """Our statements in the key policy, beside those that give power over the key."""

    def secret_statements(self, access: Desired, secret_arn: str) -> tuple[Statement, ...]:  # noqa: ARG002  most need none
        """Our statements for the service in the secret's resource policy."""
        return ()

    def role(self, access: Desired, key_arn: str, secret_arn: str) -> reader_roles.ReaderRole | None:  # noqa: ARG002  as above
        """The role through which the service reads, or None if it needs none."""
        return None


@dataclass(frozen=True)
class ServicePrincipal(Reader):
    """A service that reads in its own name, admitted by the secret's resource policy and a KMS grant it makes itself.

    The grant is made with the permissions of whoever configures the resource (forward access session), so the key policy
    admits `kms:CreateGrant` only through the service. https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-overview.html
    """

    service: str
    grant_name_pattern: str

    knows_managers = True

    def via_service(self, place: Place) -> str:
        """The value of `kms:ViaService`: `.amazonaws.com` in every partition.

        https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
        """
        return f"{self.service}.{place.region}.amazonaws.com"

    @property
    def principal(self) -> str:
        return f"{self.service}.amazonaws.com"

    @property
    def _title(self) -> str:
        return self.service[0].upper() + self.service[1:]

    def key_statements(self, access: Desired) -> tuple[Statement, ...]:
        readers = (*access.managers, *access.request.secret.origin_readers)
        return (
            policies.grant_creation(f"{self._title}Management", access.managers, self.via_service(access.place)),
            policies.decryption(readers, [access.secret_arn_pattern], access.place),
        )

    def secret_statements(self, access: Desired, secret_arn: str) -> tuple[Statement, ...]:
        managers = access.request.management_roles
        own = policies.service_reading(f"{self._title}Reading", self.principal, secret_arn)
        return (own, policies.management_reading(managers, secret_arn)) if managers else (own,)

    def grant_name(self, place: Place, resource_name: str) -> str:
        """The name the service gives its grant; a label, not an identifier."""
        return self.grant_name_pattern.format(account=place.account, name=resource_name)

    def resource_of(self, place: Place, grant_name: str | None) -> str | None:
        """The name of the resource for which the service would give its grant this name, or None."""
        beginning, _, end = self.grant_name(place, "\0").partition("\0")
        if grant_name is None or not grant_name.startswith(beginning) or not grant_name.endswith(end):
            return None
        return grant_name[len(beginning) : len(grant_name) - len(end)] or None


@dataclass(frozen=True)
class AssumedRole(Reader):
    """A service that assumes a role of the customer's and reads as that.

    `secret_actions` are what the service calls on the secret, `listing_actions` those that take no resource; one that
    `describes_key` looks at the key as well. A service that is `regional` also calls itself by its Region where that is an
    opt-in one. A role of the same account needs no statement in the policies of key and secret: its own policy suffices, since
    the key policy delegates to IAM.
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-default-allow-root-enable-iam
    """

    service: str
    secret_actions: tuple[str, ...]
    listing_actions: tuple[str, ...] = ()
    describes_key: bool = False
    regional: bool = False

    def principals(self, place: Place) -> tuple[str, ...]:
        """The names by which the service may assume the role."""
        regional = self.regional and place.region in reader_roles.OPT_IN_REGIONS
        return (f"{self.service}.amazonaws.com", *([f"{self.service}.{place.region}.amazonaws.com"] if regional else []))

    def key_statements(self, access: Desired) -> tuple[Statement, ...]:
        readers = access.request.secret.origin_readers
        return (policies.decryption(readers, [access.secret_arn_pattern], access.place),) if readers else ()

    def role(self, access: Desired, key_arn: str, secret_arn: str) -> reader_roles.ReaderRole:
        reading = reader_roles.reading(
            self.secret_actions,
            key_arn,
            secret_arn,
            access.place,
            listing_actions=self.listing_actions,
            describes_key=self.describes_key,
        )
        name = reader_roles.role_name(access.system.name, access.resource.name, access.access_id, access.place)
        return reader_roles.ReaderRole(name, reader_roles.trust(self.principals(access.place), access.place), reading)


@dataclass(frozen=True)
class PartnerPrincipals(Reader):
    """Accounts of a partner, admitted by statements of the key policy that the partner hands out; no secret, no role."""

    def key_statements(self, access: Desired) -> tuple[Statement, ...]:
        return tuple(policies.partner_use(statement.principal.arn, statement.action) for statement in access.partner_statements)
