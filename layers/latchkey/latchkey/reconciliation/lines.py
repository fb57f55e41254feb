"""The lines of an inventory: what was read of each access, so that its reconciliation does not read it again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from latchkey.access.observed import Inventoried, KeyRead
from latchkey.aws.clients import Clients
from latchkey.aws.data_bucket import JSON, DataBucket
from latchkey.aws.grants import Grant, list_grants
from latchkey.aws.keys import find_key, key_policy, rotation_days
from latchkey.aws.secrets import CURRENT, ObservedSecret
from latchkey.place import Place
from latchkey.reconciliation.region import Region, attempted
from latchkey.registry.accesses import KnownAccess
from latchkey.systems import SYSTEMS
from latchkey.systems.system import Configured
from latchkey.wire import WireModel

# A state has at most 256 KiB of input, and a batch has ten lines:
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
LONGEST_LINE = 16_000
_KEY = TypeAdapter(KeyRead)


class InventoriedLine(WireModel):
    """One line of the inventory. `key` names the object with what the accesses of a key have in common.

    What is missing was not read, or is in no list, so the reconciliation of the access reads it. `checksValue`: the current
    version of the secret was not checked yet.
    """

    access_id: str
    key: str | None = None
    grants: tuple[Grant, ...] | None = None
    secret: ObservedSecret | None = None
    configured: Configured | None = None
    checks_value: bool = False

    def known(self, bucket: DataBucket, keys: dict[str, KeyRead]) -> Inventoried:
        """What the inventory read of the access. `keys` collects the objects that were read."""
        if self.key is not None and self.key not in keys:
            keys[self.key] = _KEY.validate_json(bucket.read(self.key))
        return Inventoried(keys[self.key] if self.key else None, self.grants, self.secret, self.configured)


@dataclass(frozen=True)
class LineWriter:
    """Reads each key once, and makes the lines of its accesses. A key that cannot be read is left to its accesses."""

    region: Region
    place: Place
    folder: str
    clients: Clients
    bucket: DataBucket
    unread: list[str]
    checked_versions: Mapping[str, str]

    def lines(self, key_arn: str, accesses: Sequence[KnownAccess]) -> Iterator[bytes]:
        """The lines of the accesses with one key."""
        names = {access.access_id: _grant_name(access, self.place) for access in accesses}
        wanted = frozenset(filter(None, names.values()))
        read = attempted(key_arn, lambda: self._read(key_arn, wanted), self.unread)
        stored = f"{self.folder}keys/{key_arn.rpartition('/')[2]}.json" if read else None
        if read and stored:
            self.bucket.write(stored, _KEY.dump_json(read[0]), JSON)
        for access in accesses:
            own = tuple(one for one in read[1] if one.name == names[access.access_id]) if read else None
            line = self._line(access, stored, own)
            text = _text(line)
            if len(text) > LONGEST_LINE:
                text = _text(InventoriedLine(accessId=line.access_id, key=line.key, checksValue=line.checks_value))
            yield text

    def _read(self, key_arn: str, names: Collection[str]) -> tuple[KeyRead, tuple[Grant, ...]] | None:
        """A key and the grants with these names, or None if the key does not exist or nothing is known about its aliases."""
        kms, aliases = self.clients.kms, self.region.aliases
        key = find_key(kms, key_arn) if aliases is not None else None
        if key is None or aliases is None:
            return None
        grants = list_grants(kms, key_arn, names).grants if names else ()
        read = KeyRead(key, key_policy(kms, key_arn), rotation_days(kms, key_arn), aliases.get(key_arn.rpartition("/")[2], ()))
        return read, grants

    def _line(self, access: KnownAccess, key: str | None, grants: tuple[Grant, ...] | None) -> InventoriedLine:
        system, _, name = access.access_id.split("/", 2)
        secret_arn = access.record.secret_arn if access.record else None
        secret = (self.region.secrets or {}).get(secret_arn or "")
        current = secret.version(CURRENT) if secret and SYSTEMS[system].secret else None
        return InventoriedLine(
            accessId=access.access_id,
            key=key,
            checksValue=current is not None and current != self.checked_versions.get(access.access_id),
            grants=grants,
            # A list has no replicas.
            secret=secret if secret and secret.primary_region is None else None,
            configured=self.region.resources.get(system, {}).get(name),
        )


def _grant_name(access: KnownAccess, place: Place) -> str | None:
    """The name of the grant of an access, or None if its service creates none."""
    system, _, name = access.access_id.split("/", 2)
    granted = SYSTEMS[system].granted
    return granted[0].grant_name(place, name) if granted else None


def _text(line: InventoriedLine) -> bytes:
    return f"{line.model_dump_json(by_alias=True, exclude_defaults=True)}\n".encode()
