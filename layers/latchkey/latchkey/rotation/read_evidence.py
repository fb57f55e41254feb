"""Reads the evidence for the rules of a rotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from latchkey.access.desired import Desired
from latchkey.access.hosts import configured_hosts
from latchkey.access.record import AccessRecord
from latchkey.aws.clients import Clients, regions
from latchkey.aws.errors import is_refused
from latchkey.aws.secrets import find_secret
from latchkey.registry import Registry
from latchkey.requests.models import CopyFrom
from latchkey.rotation.readers import readers_of
from latchkey.rotation.rules import Reader, RotationEvidence, Source
from latchkey.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


@dataclass(frozen=True)
class EvidenceReader:
    """Reads from the registry and from AWS; each thing once per request."""

    settings: Settings
    registry: Registry
    clients: Clients
    secretsmanager_in: Callable[[str], SecretsManagerClient]

    def read(self, desired: Desired, secret_arn: str | None, copy_from: CopyFrom | None = None) -> RotationEvidence:
        """The evidence about the secret that an access is recorded with, and about every access that reads it."""
        found, hidden = None, False
        try:
            found = find_secret(self.clients.secretsmanager, secret_arn) if secret_arn else None
        except ClientError as error:
            if not is_refused(error):
                raise
            hidden = True
        readers, hosts = self.readers(desired), self._hosts(desired, secret_arn or "")
        if copy_from is not None and found is not None:
            hosts = hosts.union(*(self._configured_hosts(reader.desired, found.name) for reader in readers))
        return RotationEvidence(
            secret=found,
            readers=readers,
            known=self.registry.tokens.versions(desired.secret_resource),
            last_rotation=self.registry.tokens.last_rotation(desired.secret_resource),
            hidden=hidden,
            source=self._source(desired, copy_from) if copy_from else None,
            hosts=hosts,
        )

    def readers(self, desired: Desired) -> list[Reader]:
        """The accesses that read the secret of an access, itself first. One that is handed off counts as well.

        The phase of the access itself was compared with the request before.
        """
        found = readers_of(desired, self.settings, self.registry)
        return [self._reader(record, reader, is_own=reader.access_id == desired.access_id) for record, reader in found]

    def _reader(self, record: AccessRecord, desired: Desired, *, is_own: bool) -> Reader:
        phase = None if is_own else self.registry.phases.get(desired.access_id)
        configuration, rotation = desired.system.configuration, desired.system.rotation
        updated = configuration is not None and rotation is not None and rotation.needs_update and not desired.hands_off
        present = (
            configuration.read(self.clients.client_for(configuration.service), desired.resource)
            if updated and configuration
            else None
        )
        waits = record.reached == "handed-off" and not desired.hands_off
        return Reader(desired, record.key_arn, waits, phase.name if phase else None, present)

    def _configured_hosts(self, desired: Desired, secret_name: str) -> frozenset[str]:
        """The hosts to which the resource of an access sends the secret now, even if somebody else has changed it since."""
        configuration = desired.system.configuration
        if configuration is None or desired.resource.origin_host is None:
            return frozenset()
        return configured_hosts(
            configuration.read(self.clients.client_for(configuration.service), desired.resource), secret_name
        )

    def _source(self, desired: Desired, copy_from: CopyFrom) -> Source:
        _, partition, _, region, account, _ = copy_from.secret_arn.split(":", 5)
        place = desired.place
        if (partition, account) != (place.partition, place.account) or region not in regions(partition):
            return Source(is_here=False)
        hosts = self.registry.origin_hosts(copy_from.secret_arn, desired.access_id)
        try:
            secret = find_secret(self.secretsmanager_in(region), copy_from.secret_arn)
        except ClientError as error:
            if not is_refused(error):
                raise
            return Source(is_here=True, hidden=True, hosts=hosts)
        return Source(is_here=True, secret=secret, hosts=hosts)

    def _hosts(self, desired: Desired, secret_arn: str) -> frozenset[str]:
        """The hosts that receive the secret now, or after a hand-off is carried out."""
        accesses = self.registry.resources.accesses_of(desired.secret_resource)
        handed_off = (self.registry.accesses.to_confirm(access_id) for access_id in accesses)
        pending = {host for one in handed_off if one and (host := one.request.resource.origin_host)}
        return self.registry.origin_hosts(secret_arn, desired.access_id) | pending
