"""Cancels the deletions that an offboarding scheduled."""

from __future__ import annotations

from dataclasses import dataclass

from latchkey.access.desired import Desired, desire
from latchkey.access.offboarded import Offboarded
from latchkey.aws.clients import Clients
from latchkey.aws.keys import find_key
from latchkey.aws.secrets import find_secret
from latchkey.errors import Conflict
from latchkey.onboarding.step_input import StepInput
from latchkey.registry import Registry
from latchkey.registry.journal import KEY_RESTORATION, SECRET_RESTORATION, RequestJournal
from latchkey.settings import Settings
from latchkey.tags import is_ours
from latchkey.wire import WireModel

__all__ = ["Restored", "StepInput", "restore_access"]


class Restored(WireModel):
    """The ARNs of the key and the secret whose deletion was canceled."""

    key_arn: str | None = None
    secret_arn: str | None = None


def restore_access(event: StepInput, settings: Settings, registry: Registry, clients: Clients) -> Restored:
    """Restores the key and the secret of an offboarded access, so that the steps of an onboarding find them.

    Each is recorded before its call, so that a rollback schedules its deletion again. Raises Conflict if the recovery window
    has ended since the request was checked.
    """
    desired = desire(event.request, settings, event.tenant)
    journal = registry.journal_of(event.execution_arn, desired.access_id, event.tenant)
    record, offboarded = registry.accesses.get(desired.access_id), registry.offboardings.get(desired.access_id)
    if record is None or offboarded is None:
        raise Conflict(f"{desired.access_id} is no longer offboarded")
    restoration = _Restoration(desired, offboarded, journal, registry, clients)
    key_arn = restoration.restore_key(record.key_arn)
    return Restored(keyArn=key_arn, secretArn=restoration.restore_secret(record.secret_arn) if record.secret_arn else None)


@dataclass(frozen=True)
class _Restoration:
    """The restoration of one access. Each method returns the ARN if it canceled the deletion, and otherwise None."""

    desired: Desired
    offboarded: Offboarded
    journal: RequestJournal
    registry: Registry
    clients: Clients

    def restore_key(self, key_arn: str) -> str | None:
        """Cancels the deletion of a key that Latchkey created. KMS leaves it disabled.

        https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
        """
        kms = self.clients.kms
        key = find_key(kms, key_arn)
        if key is None:
            raise Conflict(f"{key_arn} was deleted after the request was checked: onboard the access again")
        is_begun = self.journal.entry(KEY_RESTORATION) is not None
        if not is_ours(key.tags, self.desired.stack) or (key.state != "PendingDeletion" and not is_begun):
            return None
        if key.state == "PendingDeletion":
            self.journal.intend(KEY_RESTORATION, {"arn": key_arn, "days": self.offboarded.waiting_days})
            kms.cancel_key_deletion(KeyId=key_arn)
            key = find_key(kms, key_arn)
        if key is not None and key.state == "Disabled":
            kms.enable_key(KeyId=key_arn)
        self.registry.resources.cancel_removal(key_arn)
        return key_arn

    def restore_secret(self, secret_arn: str) -> str | None:
        """Cancels the deletion of a secret that Latchkey created, and records the reference to it again.

        https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RestoreSecret.html
        """
        secret, ends = find_secret(self.clients.secretsmanager, secret_arn), self.offboarded.secret_ends
        if secret is None:
            raise Conflict(f"{secret_arn} was deleted after the request was checked: onboard the access again")
        self.registry.refer(self.desired.secret_resource, self.journal)
        if not secret.is_being_deleted or secret_arn != self.offboarded.secret_arn:
            return None
        self.journal.intend(SECRET_RESTORATION, {"arn": secret_arn, "ends": ends.isoformat() if ends else None})
        self.clients.secretsmanager.restore_secret(SecretId=secret_arn)
        return secret_arn
