"""Whether a recorded access has other findings than the registry says. Reads only: the cleanup that it starts decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from botocore.exceptions import BotoCoreError, ClientError

from latchkey.access.desired import Desired, desire
from latchkey.access.findings import names_by_policies
from latchkey.access.principals import RECREATED, Standing, failed_standing_checks
from latchkey.access.record import AccessRecord
from latchkey.aws.clients import Clients
from latchkey.aws.errors import is_missing, is_refused
from latchkey.aws.keys import key_policy
from latchkey.aws.secrets import ObservedSecret, all_secret_policies, current_keys, find_secret
from latchkey.errors import TransientAwsError
from latchkey.observability import logger
from latchkey.policies import Document, new_document
from latchkey.registry.accesses import KnownAccess
from latchkey.settings import Settings
from latchkey.systems.system import Configuration, Resource

if TYPE_CHECKING:
    from mypy_boto3_iam.type_defs import RoleTypeDef


# The beginnings of the names of findings that the policies and the role decide, and the one that needs more than that.
_BY_POLICIES = ("key policy", "secret policy", RECREATED)
_BY_MORE = "secret policy admits nobody else"


@dataclass(frozen=True)
class DriftReader:
    """Reads the policies, the reader role and the resource of accesses, each key, secret and list of resources once.

    Source locations are not read here: the sweep has read their list with the grants.
    """

    settings: Settings
    clients: Clients
    _policies: dict[str, Document] = field(default_factory=dict)
    _listed: dict[tuple[str, str], frozenset[str] | None] = field(default_factory=dict)

    def has_drifted(self, access: KnownAccess) -> bool:
        """Whether the access differs from what is recorded. False if a read is denied, and if the key does not exist."""
        record, request = access.record, access.request
        if record is None or request is None or record.status not in ("active", "handed-off", "unmanaged"):
            return False
        desired = desire(request, self.settings, record.tenant)
        if record.reached != "handed-off" and self._lacks_resource(desired):
            return True
        # The owner of an unmanaged access can remove our statements.
        if record.status == "unmanaged":
            return False
        try:
            return self._has_drifted(access, record, desired)
        except ClientError as error:
            if is_refused(error) or is_missing(error):
                return False
            raise

    def _lacks_resource(self, desired: Desired) -> bool:
        """Whether a complete list lacks the resource. False if the list cannot be read."""
        configuration, resource = desired.system.configuration, desired.resource
        if configuration is None or desired.system.granted:
            return False
        of = (desired.system.name, configuration.list_of(resource))
        if of not in self._listed:
            self._listed[of] = self._names(configuration, resource)
        listed = self._listed[of]
        return listed is not None and resource.name not in listed

    def _names(self, configuration: Configuration, resource: Resource) -> frozenset[str] | None:
        try:
            return configuration.listed_names(self.clients.client_for(configuration.service), resource)
        except (ClientError, BotoCoreError, TransientAwsError) as error:
            # Another sweep reads the list again, and nothing else waits for it.
            logger.warning("resources cannot be listed", service=configuration.service, error=type(error).__name__)
            return None

    def _has_drifted(self, access: KnownAccess, record: AccessRecord, desired: Desired) -> bool:
        secret = find_secret(self.clients.secretsmanager, record.secret_arn) if record.secret_arn else None
        if record.secret_arn and (secret is None or secret.is_being_deleted):
            return True
        wanted = desired.role(record.key_arn, record.secret_arn) if record.secret_arn else None
        role = self._role(wanted.name) if wanted else None
        if wanted and (role is None or not wanted.accepts_trust(_trust(role))):
            return True
        standing = Standing(
            key_policy=self._policy(record.key_arn, lambda: key_policy(self.clients.kms, record.key_arn)),
            secret_policy=self._policy(secret.arn, lambda: self._secret_policy(secret)) if secret else None,
            moved=secret is not None and self._is_moved(secret, record.key_arn),
            role_created=role["CreateDate"] if role else None,
            recorded_at=access.recorded_at,
        )
        failed = failed_standing_checks(desired, record.secret_arn, standing)
        key_policy_now = None if standing.moved else standing.key_policy
        named = names_by_policies(desired, secret, key_policy_now, standing.secret_policy)
        named |= {check.name for check in failed if check.name == RECREATED}
        recorded = {name for name in access.findings if name.startswith(_BY_POLICIES) and name != _BY_MORE}
        return named - {_BY_MORE} != recorded or any(check.revokes for check in failed)

    def _policy(self, arn: str, read: Callable[[], Document | None]) -> Document:
        if arn not in self._policies:
            self._policies[arn] = read() or new_document(())
        return self._policies[arn]

    def _secret_policy(self, secret: ObservedSecret) -> Document | None:
        return all_secret_policies(self.clients.secretsmanager, secret.arn)

    def _is_moved(self, secret: ObservedSecret, key_arn: str) -> bool:
        clients = self.clients
        return secret.kms_key_id != key_arn and key_arn not in current_keys(secret, clients.kms, clients.secretsmanager)

    def _role(self, name: str) -> RoleTypeDef | None:
        try:
            return self.clients.iam.get_role(RoleName=name)["Role"]
        except ClientError as error:
            if is_missing(error):
                return None
            raise


def _trust(role: RoleTypeDef) -> Document:
    return cast("Document", role.get("AssumeRolePolicyDocument", {}))
