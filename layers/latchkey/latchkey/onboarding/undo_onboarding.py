"""Takes back what one request made and nothing else refers to; what it found or shares stays usable for the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from latchkey import policies
from latchkey.access.desired import Desired, desire
from latchkey.access.record import AccessRecord
from latchkey.aws.clients import ClientFor
from latchkey.aws.errors import is_missing
from latchkey.aws.keys import ObservedKey, find_key, find_key_by_tags, key_policy
from latchkey.aws.roles import find_role
from latchkey.aws.secrets import ObservedSecret, find_secret, secret_policy
from latchkey.errors import Conflict
from latchkey.onboarding import reader_role
from latchkey.policies import Statement
from latchkey.registry import Registry
from latchkey.registry.resources import NotedKey
from latchkey.settings import Settings
from latchkey.systems.system import Configured, CreatingConfiguration
from latchkey.tags import ACCESS
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

# The shortest that KMS documents; until then a person can still cancel the deletion.
_PENDING_DAYS = 7
# Who made the key, and what keeps the readers of a secret that came from the default key: the move stays, so does its rule.
_STAYS = ("LatchkeyCreation", "LatchkeyFormerDefaultKey")


class Undone(WireModel):
    """What was taken back, in words."""

    undone: tuple[str, ...]


@dataclass(frozen=True)
class Undo:
    """Doing it twice equals doing it once; a crash between any two calls leaves something that a retry finishes."""

    settings: Settings
    registry: Registry
    kms: KMSClient
    secretsmanager: SecretsManagerClient
    iam: IAMClient
    client_of: ClientFor

    def __call__(self, desired: Desired, execution_arn: str, *, confirms: bool = False) -> Undone:
        """Takes the request back: first the use, then the secret, then the key. Grants are left to their clean-up.

        A request that never got its access has made nothing, and what is noted there is another's. An undo that could not
        be finished before is taken up again, unless a request has the access since. One that only `confirms` a hand-off has
        made nothing but its record.
        """
        access_id = desired.access_id
        if not self.registry.locks.holds_lock(access_id, execution_arn) and not self.registry.locks.resume_undo(
            access_id, execution_arn
        ):
            return Undone(undone=())
        recorded = self.registry.accesses.get(access_id)
        by_this = recorded is not None and recorded.request_id == desired.request.request_id
        if desired.system.key_is_exclusive and by_this and not confirms:
            # Before the record is taken back: without it the next try would take the key for one that nobody was given.
            raise Conflict(f"{access_id} is recorded: nothing is taken from a partner by itself")
        self.registry.accesses.restore(access_id, desired.request.request_id)
        if confirms:
            return Undone(undone=())
        record, key = self.registry.accesses.get(access_id), self._find_key(desired)
        self._resource(desired)
        if desired.reads_secret:
            secret = find_secret(self.secretsmanager, desired.existing_secret_arn or desired.secret_name)
            self._role(desired, record, key, secret)
            self._secret(desired, record, secret)
        if key is not None and desired.system.key_is_exclusive and recorded is not None:
            self._leave(desired, key)
        elif key is not None:
            self._key(desired, record, key)
        return Undone(undone=self.registry.journal.undone(desired.access_id))

    def _resource(self, desired: Desired) -> None:
        touched, former = self.registry.journal.former(desired.access_id)
        configuration = desired.system.configuration
        if not touched or configuration is None:
            return
        client = self.client_of(configuration.service)
        present = configuration.read(client, desired.resource)
        # What names another secret by now somebody else has set since.
        if present is None or not desired.is_secret(present.secret_arn):
            return
        if former is not None:
            wanted = configuration.restored_settings(present.full_settings, former)
            if present.full_settings == wanted:
                return
            self._tell(desired, f"{present.arn} has its former settings")
            configuration.restore(client, wanted)
            self._refuse_to_go_on(desired, wanted, configuration.read(client, desired.resource))
        elif isinstance(configuration, CreatingConfiguration) and desired.made(present.tags):
            self._tell(desired, f"{present.arn} is deleted")
            configuration.delete(client, desired.resource)

    def _refuse_to_go_on(self, desired: Desired, wanted: object, restored: Configured | None) -> None:
        """What cannot be set back reads the secret still, which must stay then, and its key and role too."""
        if restored is not None and restored.full_settings != wanted and desired.is_secret(restored.secret_arn):
            raise Conflict(f"{restored.arn} still reads the secret: no call of its service takes that away")

    def _role(
        self, desired: Desired, record: AccessRecord | None, key: ObservedKey | None, secret: ObservedSecret | None
    ) -> None:
        """The role belongs to this access alone: it goes, or may again what it might before this request changed that."""
        wanted = desired.role(key.arn if key else "", secret.arn if secret else "")
        role = find_role(self.iam, wanted.name) if wanted else None
        if wanted is None or role is None or role.tags.get(ACCESS) != desired.access_id:
            return
        before = self.registry.accesses.recorded_request(desired.access_id)
        if record is not None and record.secret_arn and before is not None:
            former = desire(before, self.settings).role(record.key_arn, record.secret_arn)
            if former and former.policy != wanted.policy == role.policy:
                self._tell(desired, f"{role.arn} is as it was")
                reader_role.mend_role(role, former, self.iam, desired.reader_boundary_arn)
        elif desired.made(role.tags):
            self._tell(desired, f"{role.arn} is deleted")
            reader_role.delete_role(wanted.name, self.iam)
            self.registry.resources.forget(role.arn)

    def _secret(self, desired: Desired, record: AccessRecord | None, secret: ObservedSecret | None) -> None:
        if secret is None or secret.is_being_deleted:
            # An earlier try of this undo may have deleted it and not come to say so.
            self.registry.resources.forget_removed(desired.secret_resource)
            if record is None:
                self.registry.resources.release(desired.secret_resource, desired.access_id)
            return
        in_use = record is not None and record.secret_arn == secret.arn
        made = desired.made(secret.tags) and not desired.existing_secret_arn
        if made and not in_use and self.registry.resources.begin_removal(desired.secret_resource, desired.access_id):
            # It was never in use, so nobody can miss it, and its name must be free for the next try.
            self._tell(desired, f"{secret.arn} is deleted")
            self.secretsmanager.delete_secret(SecretId=secret.arn, ForceDeleteWithoutRecovery=True)
            self.registry.resources.forget(desired.secret_resource)
            return
        wanted = [other.secret_statements(secret.arn) for other in self._others(desired, desired.secret_resource, in_use)]
        self._rewrite_secret_policy(desired, secret, policies.union(wanted))
        if not in_use:
            self.registry.resources.release(desired.secret_resource, desired.access_id)

    def _find_key(self, desired: Desired) -> ObservedKey | None:
        alias = desired.alias
        noted = self.registry.resources.noted_key(alias) if alias else None
        found = find_key(self.kms, desired.request.key.arn or alias or "")
        return found or (self._begun_key(desired, noted) if noted else None)

    def _leave(self, desired: Desired, key: ObservedKey) -> None:
        """A partner's data depends on the key: nothing is taken from a partner, and one that a request added is told."""
        before = self.registry.accesses.recorded_request(desired.access_id)
        former = desire(before, self.settings).key_statements if before else ()
        present = policies.own_statements(key_policy(self.kms, key.arn))
        partners = {one["Sid"] for one in present if one["Sid"].startswith(policies.PARTNER_SID)}
        self._rewrite_key_policy(desired, key, former, kept=(*_STAYS, *partners))
        if partners - {one["Sid"] for one in former}:
            raise Conflict(f"{key.arn} stays with the partners of this request: nothing is taken from a partner by itself")

    def _key(self, desired: Desired, record: AccessRecord | None, key: ObservedKey) -> None:
        alias = desired.alias
        if key.state == "PendingDeletion":
            self.registry.resources.forget_removed(key.arn)
            return
        in_use = record is not None and record.key_arn == key.arn
        made = desired.made(key.tags) and alias is not None and not self._holds_secret(desired, key)
        if made and not in_use and self.registry.resources.begin_removal(key.arn, desired.access_id):
            self._tell(desired, f"{key.arn} is scheduled for deletion in {_PENDING_DAYS} days")
            self._delete_alias(alias or "")
            self.kms.schedule_key_deletion(KeyId=key.arn, PendingWindowInDays=_PENDING_DAYS)
            self.registry.resources.forget_key(alias or "", key.arn)
            self.registry.resources.forget(key.arn)
            return
        wanted = [other.key_statements for other in self._others(desired, key.arn, in_use)]
        self._rewrite_key_policy(desired, key, policies.union(wanted))
        if not in_use:
            self.registry.resources.release(key.arn, desired.access_id)

    def _tell(self, desired: Desired, undone: str) -> None:
        """Says beforehand what is taken back, so that a crash right afterwards does not keep it secret."""
        self.registry.journal.note_undone(desired.access_id, undone)

    def _holds_secret(self, desired: Desired, key: ObservedKey) -> bool:
        """Is a secret that this request did not make under the key by now? The move stays, so the key must."""
        if not desired.reads_secret:
            return False
        secret = find_secret(self.secretsmanager, desired.existing_secret_arn or desired.secret_name)
        return secret is not None and not secret.is_being_deleted and secret.kms_key_id == key.arn

    def _begun_key(self, desired: Desired, noted: NotedKey) -> ObservedKey | None:
        """The key of a CreateKey whose alias, or even whose answer, is missing; another request's is that one's own."""
        if noted.arn:
            return find_key(self.kms, noted.arn)
        return find_key_by_tags(self.kms, noted.request_id) if noted.request_id == desired.request.request_id else None

    def _others(self, desired: Desired, resource: str, in_use: bool) -> list[Desired]:
        """What still refers to a key or secret: the other accesses, and this one as it was before."""
        requests = [want.request for want in self.registry.requests_using(resource, without=desired.access_id)]
        own = self.registry.accesses.recorded_request(desired.access_id) if in_use else None
        return [desire(request, self.settings) for request in (*requests, *([own] if own else []))]

    def _rewrite_key_policy(
        self, desired: Desired, key: ObservedKey, own: Sequence[Statement], kept: Sequence[str] = _STAYS
    ) -> None:
        with self.registry.lease(f"policy of {key.arn}"):
            present = key_policy(self.kms, key.arn)
            stays = policies.union([own, policies.beyond(present, desired.key_statements)])
            rewritten = policies.retain(present, stays, kept=kept)
            if rewritten == present:
                return
            self._tell(desired, f"the policy of {key.arn} is without this request's statements")
            self.kms.put_key_policy(KeyId=key.arn, PolicyName="default", Policy=json.dumps(rewritten))

    def _rewrite_secret_policy(self, desired: Desired, secret: ObservedSecret, own: Sequence[Statement]) -> None:
        with self.registry.lease(f"policy of {secret.arn}"):
            present = secret_policy(self.secretsmanager, secret.arn)
            stays = policies.union([own, policies.beyond(present, desired.secret_statements(secret.arn))])
            rewritten = policies.retain(present, stays)
            if present is None or rewritten == present:
                return
            self._tell(desired, f"the policy of {secret.arn} is without this request's statements")
            if rewritten["Statement"]:
                text = json.dumps(rewritten)
                self.secretsmanager.put_resource_policy(SecretId=secret.arn, ResourcePolicy=text, BlockPublicPolicy=True)
            else:
                self.secretsmanager.delete_resource_policy(SecretId=secret.arn)

    def _delete_alias(self, alias: str) -> None:
        try:
            self.kms.delete_alias(AliasName=alias)
        except ClientError as error:
            if not is_missing(error):
                raise
