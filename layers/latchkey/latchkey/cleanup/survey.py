"""Looks at the owner of grants, at its secret and at every grant of its keys. Complete, or it says what it could not read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from latchkey import policies
from latchkey.access.grants import GrantedResource
from latchkey.aws.clients import ClientFor
from latchkey.aws.errors import code_of, is_missing, is_refused
from latchkey.aws.grants import Grant, list_grants
from latchkey.aws.secrets import DEFAULT_KEY, current_keys, find_secret, secret_policy
from latchkey.cleanup.verdict import Evidence, ResourceEvidence, SecretEvidence
from latchkey.errors import AccessDenied, TransientAwsError

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

    from latchkey.systems.system import System


@dataclass(frozen=True)
class KeyGrants:
    """The grants of some keys, when the first listing began, and the keys whose owners let nobody list them."""

    at: datetime
    grants: tuple[Grant, ...]
    unreadable: frozenset[str]


@dataclass(frozen=True)
class Surveyor:
    """The clients of a look, and the two acts that follow one: to revoke a grant, to set its owner again."""

    kms: KMSClient
    secretsmanager: SecretsManagerClient
    client_of: ClientFor

    def look(self, subject: GrantedResource, keys: Iterable[str]) -> Evidence:
        """Everything that decides on one owner's grants: these first, so that none made meanwhile is taken for old."""
        found = self.readable_grants(keys)
        owner = self.owner(subject)
        secrets = self.secrets(subject, owner.secret_arn)
        beside = self.grants_beside(subject, secrets, found.grants)
        return Evidence(found.at, owner, secrets, found.grants + beside.grants, found.unreadable | beside.unreadable)

    def secrets(self, subject: GrantedResource, named: str | None) -> Mapping[str, SecretEvidence]:
        """A look at the secret that an owner names, if any and if it may be read."""
        if named is None:
            return {}
        try:
            return {named: self.secret(subject, named)}
        except ClientError as error:
            if not is_refused(error):
                raise
            return {}

    def grants_beside(
        self, subject: GrantedResource, secrets: Mapping[str, SecretEvidence], grants: tuple[Grant, ...]
    ) -> KeyGrants:
        """If one of the owner's grants is for a secret that is under another key by now: that key's grants."""
        moved = {
            secret.key_arn
            for secret in secrets.values()
            for grant in grants
            if secret.key_arn and grant.name == subject.owner.grant_name and grant.secret_arn in (None, secret.arn)
        }
        return self.readable_grants(moved - {grant.key_arn for grant in grants})

    def grants(self, keys: Iterable[str]) -> tuple[datetime, tuple[Grant, ...]]:
        """Every grant of some keys, and when the first listing began; raises if one may not be read."""
        found = self.readable_grants(keys)
        if found.unreadable:
            raise AccessDenied(f"the grants of {', '.join(sorted(found.unreadable))} may not be listed")
        return found.at, found.grants

    def readable_grants(self, keys: Iterable[str]) -> KeyGrants:
        """Every grant of those keys that may be read. A key that does not exist any more has none."""
        listings, unreadable = [], set[str]()
        for key in sorted(keys):
            try:
                listings.append(list_grants(self.kms, key))
            except ClientError as error:
                if is_refused(error):
                    unreadable.add(key)
                elif not is_missing(error):
                    raise
        at = min((listing.at for listing in listings), default=datetime.now(UTC).replace(microsecond=0))
        return KeyGrants(at, tuple(grant for listing in listings for grant in listing.grants), frozenset(unreadable))

    def listed(self, system: System) -> Mapping[str, str | None]:
        """Every resource of a system with the secret it names; complete, or it raises."""
        if system.granted is None:
            raise TypeError(f"{system.name} has no resource that makes grants")
        _, configuration = system.granted
        return configuration.secrets_by_name(self.client_of(configuration.service))

    def owner(self, subject: GrantedResource, listed: Mapping[str, str | None] | None = None) -> ResourceEvidence:
        """Whether the resource exists; that it does not counts only if a complete list lacks it as well.

        `listed` is such a list from just before, so that one read suffices now.
        """
        configuration, client = subject.configuration, self.client_of(subject.configuration.service)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        found = configuration.read_named(client, subject.name)
        if found is not None:
            told = f"names {found.secret_arn}" if found.secret_arn else "sends no token"
            return ResourceEvidence(True, found.secret_arn, f"{at}: {found.arn} exists and {told}")
        names = configuration.secrets_by_name(client) if listed is None else listed
        if subject.name in names:
            raise TransientAwsError(f"{subject.owner.resource_arn} is listed and yet not described")
        told = f"is not described, and a complete list of {len(names)} lacks it"
        return ResourceEvidence(False, None, f"{at}: {subject.owner.resource_arn} {told}")

    def secret(self, subject: GrantedResource, arn: str) -> SecretEvidence:
        """Whether a secret is there and some Allow of its policy could admit the service."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        secret = find_secret(self.secretsmanager, arn)
        if secret is None or secret.is_being_deleted:
            told = f"{at}: {arn} {'is being deleted' if secret else 'does not exist'}"
            return SecretEvidence(False, False, None, told, arn=secret.arn if secret else None)
        policy = secret_policy(self.secretsmanager, arn)
        service = subject.reader.service
        statements = tuple(policies.statements_for_service(policy, service, "secretsmanager:GetSecretValue", secret.arn))
        told = f"{at}: {secret.arn} exists, {', '.join(statements) or 'no Allow'} of its policy could admit {service}"
        key = current_keys(secret, self.kms, self.secretsmanager)[0]
        return SecretEvidence(True, bool(statements), None if key == DEFAULT_KEY else key, told, statements, secret.arn)

    def revoke(self, grant: Grant) -> None:
        """Revokes a grant; one that has gone meanwhile is revoked."""
        try:
            self.kms.revoke_grant(KeyId=grant.key_arn, GrantId=grant.grant_id)
        except ClientError as error:
            if not is_missing(error) and code_of(error) != "InvalidGrantIdException":
                raise

    def set_again(self, subject: GrantedResource, secret_arn: str | None) -> bool:
        """Sets a resource that still names this secret to what it is set to, by which its service makes its grant again."""
        configuration, client = subject.configuration, self.client_of(subject.configuration.service)
        found = configuration.read_named(client, subject.name)
        if found is None or found.secret_arn != secret_arn:
            return False
        configuration.restore(client, found.whole)
        return True
