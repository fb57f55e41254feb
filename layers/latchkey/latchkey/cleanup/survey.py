"""One complete read of a granted resource, its secret, and every grant on its keys. What cannot be read is reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from latchkey import policies
from latchkey.access.grants import GrantedResource
from latchkey.aws.clients import ClientFor
from latchkey.aws.errors import is_missing, is_refused
from latchkey.aws.grants import Grant, list_grants
from latchkey.aws.secrets import DEFAULT_KEY, all_secret_policies, current_keys, find_secret
from latchkey.cleanup.verdict import Evidence, ResourceEvidence, SecretEvidence
from latchkey.errors import AccessDenied, TransientAwsError

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

    from latchkey.systems.system import System


@dataclass(frozen=True)
class KeyGrants:
    """The grants on some keys, when the first listing began, and the keys whose grants may not be listed."""

    at: datetime
    grants: tuple[Grant, ...]
    unreadable: frozenset[str]


@dataclass(frozen=True)
class Surveyor:
    """Reads only: nothing here can revoke a grant or change a resource."""

    kms: KMSClient
    secretsmanager: SecretsManagerClient
    client_for: ClientFor

    def survey(self, resource: GrantedResource, keys: Iterable[str]) -> Evidence:
        """Everything that decides about the grants of one resource.

        Grants are read first, so that a grant created during the survey is not mistaken for an old one.
        """
        found = self.readable_grants(keys)
        resource_evidence = self.resource(resource)
        secrets = self.secrets(resource, resource_evidence.secret_arn)
        moved = self.grants_on_moved_key(resource, secrets, found.grants)
        unreadable = found.unreadable | moved.unreadable
        return Evidence(found.at, resource_evidence, secrets, found.grants + moved.grants, unreadable)

    def secrets(self, resource: GrantedResource, secret_arn: str | None) -> Mapping[str, SecretEvidence]:
        """The secret that a resource is configured with; empty if there is none or it may not be read."""
        if secret_arn is None:
            return {}
        try:
            return {secret_arn: self.secret(resource, secret_arn)}
        except ClientError as error:
            if not is_refused(error):
                raise
            return {}

    def grants_on_moved_key(
        self, resource: GrantedResource, secrets: Mapping[str, SecretEvidence], grants: tuple[Grant, ...]
    ) -> KeyGrants:
        """The grants on the secret's present key, if a grant of the resource is for that secret and on another key."""
        moved = {
            secret.key_arn
            for secret in secrets.values()
            for grant in grants
            if secret.key_arn and grant.name == resource.grant_name and grant.secret_arn in (None, secret.arn)
        }
        return self.readable_grants(moved - {grant.key_arn for grant in grants})

    def grants(self, keys: Iterable[str]) -> tuple[datetime, tuple[Grant, ...]]:
        """When the first listing began, and every grant on the keys. Raises AccessDenied if a key may not be read."""
        found = self.readable_grants(keys)
        if found.unreadable:
            raise AccessDenied(f"kms:ListGrants is denied on {', '.join(sorted(found.unreadable))}")
        return found.at, found.grants

    def readable_grants(self, keys: Iterable[str]) -> KeyGrants:
        """Every grant on those keys that may be read. A key that no longer exists has none."""
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

    def secrets_by_resource(self, system: System) -> Mapping[str, str | None]:
        """Every resource of a system with the secret it is configured with. Complete, or it raises."""
        if system.granted is None:
            raise TypeError(f"{system.name} has no resource for which a service creates grants")
        _, configuration = system.granted
        return configuration.secrets_by_name(self.client_for(configuration.service))

    def resource(self, resource: GrantedResource, listed: Mapping[str, str | None] | None = None) -> ResourceEvidence:
        """Whether the resource exists. Its absence counts only if a complete list lacks it as well.

        `listed` is such a list, read immediately before, so that one read is enough now.
        """
        configuration, client = resource.configuration, self.client_for(resource.configuration.service)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        found = configuration.read_named(client, resource.name)
        if found is not None:
            token = f"uses {found.secret_arn}" if found.secret_arn else "sends no token"
            return ResourceEvidence(True, found.secret_arn, f"{at}: {found.arn} exists and {token}")
        names = configuration.secrets_by_name(client) if listed is None else listed
        if resource.name in names:
            raise TransientAwsError(f"{resource.resource_arn} is listed but cannot be described")
        absence = f"cannot be described, and is not in the complete list of {len(names)}"
        return ResourceEvidence(False, None, f"{at}: {resource.resource_arn} {absence}")

    def secret(self, resource: GrantedResource, secret_arn: str) -> SecretEvidence:
        """Whether the secret exists, and whether an Allow in its resource policy could apply to the service."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        secret = find_secret(self.secretsmanager, secret_arn)
        if secret is None or secret.is_being_deleted:
            state = "is scheduled for deletion" if secret else "does not exist"
            return SecretEvidence(False, False, None, f"{at}: {secret_arn} {state}", arn=secret.arn if secret else None)
        policy = all_secret_policies(self.secretsmanager, secret_arn)
        service = resource.reader.service
        statements = tuple(policies.statements_for_service(policy, service, "secretsmanager:GetSecretValue", secret.arn))
        allowed = f"allows {service} in {', '.join(statements)}" if statements else f"does not allow {service}"
        key = current_keys(secret, self.kms, self.secretsmanager)[0]
        return SecretEvidence(
            True,
            bool(statements),
            None if key == DEFAULT_KEY else key,
            f"{at}: {secret.arn} exists, and its resource policy {allowed}",
            statements,
            secret.arn,
        )
