"""How a system reads a secret: as a service principal, through a role that its service assumes, or as partner accounts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from latchkey import policies
from latchkey.place import Place
from latchkey.policies import Statement, reader_roles


@dataclass(frozen=True)
class PartnerAccess:
    """An account of a partner, and the KMS actions that the key policy must allow it. `principal` is the ARN of its root."""

    principal: str
    actions: tuple[str, ...]

    @property
    def account(self) -> str:
        return self.principal.split(":")[4]


@dataclass(frozen=True)
class AccessFacts:
    """What a reader must know about an access to write its policies.

    `secret_arn_pattern` is the ARN of the secret; its random suffix is a pattern if the secret does not exist yet.
    `secrets_patterns` are the patterns in a key policy that match the secret, which are all secrets with the prefix of the
    tenant, or only this one if its name does not have the prefix. They also match the check of Secrets Manager that it can use
    the key. Accesses whose secrets have the prefix have the same statement in a key policy.
    """

    access_id: str
    system: str
    resource_name: str
    place: Place
    configure_role_arn: str
    management_roles: tuple[str, ...]
    origin_readers: tuple[str, ...]
    secret_arn_pattern: str
    secrets_patterns: tuple[str, ...]
    partners: tuple[PartnerAccess, ...]
    other_secret_arns: tuple[str, ...] = ()

    @property
    def managers(self) -> tuple[str, ...]:
        """The roles that configure the resource: our own function's role and the roles of the request."""
        return (self.configure_role_arn, *self.management_roles)


class Reader(ABC):
    """The statements and the role that let a service read. All of it is pure."""

    # Whether a request can name roles that configure the resource: only where the policies must contain them.
    knows_managers = False
    # Whether the reader can use the key only as long as our statements are in its policy.
    is_in_key_policy = False

    @abstractmethod
    def key_statements(self, access: AccessFacts) -> tuple[Statement, ...]:
        """Our statements in the key policy, except those for administrators and users of the key."""

    def secret_statements(self, access: AccessFacts, secret_arn: str) -> tuple[Statement, ...]:  # noqa: ARG002  most need none
        """Our statements for the service in the secret's resource policy."""
        return ()

    def role(self, access: AccessFacts, key_arn: str, secret_arn: str) -> reader_roles.ReaderRole | None:  # noqa: ARG002
        """The role through which the service reads, or None if it needs none."""
        return None


@dataclass(frozen=True)
class ServicePrincipal(Reader):
    """A service that reads as itself: the secret's resource policy allows it, and it creates a KMS grant for itself.

    It creates the grant with the permissions of the caller that configures the resource (forward access session), so the key
    policy allows `kms:CreateGrant` only through the service.
    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-overview.html
    """

    service: str
    grant_name_pattern: str

    knows_managers = True

    def via_service(self, place: Place) -> str:
        """The value of `kms:ViaService`, which ends in `.amazonaws.com` in every partition.

        https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
        """
        return f"{self.service}.{place.region}.amazonaws.com"

    @property
    def principal(self) -> str:
        return f"{self.service}.amazonaws.com"

    @property
    def _title(self) -> str:
        return self.service[0].upper() + self.service[1:]

    def key_statements(self, access: AccessFacts) -> tuple[Statement, ...]:
        readers = (*access.managers, *access.origin_readers)
        return (
            policies.grant_creation(f"{self._title}Management", access.managers, self.via_service(access.place)),
            policies.decryption(readers, access.secrets_patterns, access.place),
        )

    def secret_statements(self, access: AccessFacts, secret_arn: str) -> tuple[Statement, ...]:
        managers = access.management_roles
        own = policies.service_reading(f"{self._title}Reading", self.principal, secret_arn)
        return (own, policies.management_reading(managers, secret_arn)) if managers else (own,)

    def grant_name(self, place: Place, resource_name: str) -> str:
        """The name that the service gives its grant. A name is a label and no identifier."""
        return self.grant_name_pattern.format(account=place.account, name=resource_name)

    def resource_of(self, place: Place, grant_name: str | None) -> str | None:
        """The name of the resource for which the service would give its grant this name, or None."""
        beginning, _, end = self.grant_name(place, "\0").partition("\0")
        if grant_name is None or not grant_name.startswith(beginning) or not grant_name.endswith(end):
            return None
        return grant_name[len(beginning) : len(grant_name) - len(end)] or None


@dataclass(frozen=True)
class AssumedRole(Reader):
    """A service that assumes a role in the customer's account and reads with it.

    `secret_actions` are the actions on the secret, `listing_actions` those that take no resource. `describes_key`: the service
    calls DescribeKey as well. `regional`: in opt-in Regions the service has a Regional principal too. `sends_account`: the
    service is documented to send `aws:SourceAccount` when it assumes the role. A role of the same account needs no statement in
    the policies of key and secret: the key policy delegates to IAM.
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-default-allow-root-enable-iam
    """

    service: str
    secret_actions: tuple[str, ...]
    listing_actions: tuple[str, ...] = ()
    describes_key: bool = False
    regional: bool = False
    sends_account: bool = False

    def principals(self, place: Place) -> tuple[str, ...]:
        """The service principals that can assume the role."""
        regional = self.regional and place.region in reader_roles.OPT_IN_REGIONS
        return (f"{self.service}.amazonaws.com", *([f"{self.service}.{place.region}.amazonaws.com"] if regional else []))

    def key_statements(self, access: AccessFacts) -> tuple[Statement, ...]:
        readers = access.origin_readers
        return (policies.decryption(readers, access.secrets_patterns, access.place),) if readers else ()

    def role(self, access: AccessFacts, key_arn: str, secret_arn: str) -> reader_roles.ReaderRole:
        reading = reader_roles.reading(
            self.secret_actions,
            key_arn,
            secret_arn,
            access.place,
            listing_actions=self.listing_actions,
            describes_key=self.describes_key,
            other_secret_arns=access.other_secret_arns,
        )
        name = reader_roles.role_name(access.system, access.resource_name, access.access_id, access.place)
        principals, place = self.principals(access.place), access.place
        trust = reader_roles.trust(principals, place, sends_account=self.sends_account)
        # Until version 0.2.0, every service had to send its account.
        former = reader_roles.trust(principals, place, sends_account=True)
        return reader_roles.ReaderRole(name, trust, reading, (former,))


@dataclass(frozen=True)
class PartnerPrincipals(Reader):
    """Accounts of a partner, allowed by statements of the key policy that the partner provides. No secret and no role."""

    is_in_key_policy = True

    def key_statements(self, access: AccessFacts) -> tuple[Statement, ...]:
        return tuple(policies.partner_use(partner.principal, partner.actions) for partner in access.partners)
