"""Finds resources with our tag that no record names, and records of which nothing exists, and reports both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from latchkey.access.desired import Desired, desire
from latchkey.access.findings import Finding, InventoriedAccess, Inventory, findings_of_inventory
from latchkey.access.findings.known import KnownFindings, seen_findings
from latchkey.access.record import AccessRecord
from latchkey.aws.clients import Clients
from latchkey.aws.errors import is_missing
from latchkey.aws.keys import find_key, key_tags, list_keys
from latchkey.aws.roles import role_names, role_tags
from latchkey.aws.secrets import find_secret
from latchkey.errors import LatchkeyError
from latchkey.events.cleanup import DriftDetected, DriftResolved, Notice
from latchkey.observation.notices import Occasion, PublishEvent, common_members, notice_id, record_notice
from latchkey.policies.reader_roles import ROLE_PREFIX
from latchkey.reconciliation.region import Region, attempted
from latchkey.registry import Registry
from latchkey.registry.accesses import KnownAccess
from latchkey.settings import Settings
from latchkey.tags import ACCESS, is_ours

# The members of an event about a resource that no record names.
_NO_SYSTEM, _UNRECORDED = "none", "unrecorded"
_ERRORS = (ClientError, BotoCoreError, LatchkeyError)


@dataclass(frozen=True)
class Unrecorded:
    """The findings by access ID or by ARN. Nothing is concluded about ARNs that begin with one of `undecided`."""

    findings: Mapping[str, tuple[Finding, ...]]
    undecided: tuple[str, ...]


@dataclass
class Search:
    """Reads what exists before the registry, which names each resource before Latchkey creates it.

    The names of lists that cannot be read are added to `unread`.
    """

    settings: Settings
    registry: Registry
    clients: Clients
    unread: list[str]
    _tags: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _undecided: list[str] = field(default_factory=list)

    def __call__(self, region: Region) -> Unrecorded:
        """What the lists of the Region and the registry say together."""
        place, clients = self.settings.place, self.clients
        prefix = f"{ROLE_PREFIX}{place.region}_"
        keys = attempted("keys", lambda: [*list_keys(clients.kms)], self.unread)
        roles = attempted("roles", lambda: [*role_names(clients.iam, prefix)], self.unread)
        known = [*self.registry.accesses.all()]
        named = self.registry.resources.named().union(*map(_named_by, known))
        running = frozenset(one.access_id for one in known if one.is_running)
        if keys is None or region.aliases is None:
            self._undecided.append(place.arn("kms", ""))
        else:
            self._search_keys([arn for arn in keys if arn not in named and not _is_of_aws(arn, region.aliases)], running)
        if region.secrets is None:
            self._undecided.append(place.arn("secretsmanager", ""))
        for secret in (region.secrets or {}).values():
            is_named = not named.isdisjoint([secret.arn, f"secret {secret.name}"])
            if is_ours(secret.tags, self.settings.stack) and not is_named:
                self._search(secret.arn, partial(self._secret_tags, secret.arn), running)
        if roles is None:
            self._undecided.append(place.arn("iam", "", region=""))
        for name in roles or ():
            if (arn := place.arn("iam", f"role/{name}", region="")) not in named:
                self._search(arn, partial(role_tags, clients.iam, name), running)
        gone = tuple(self._gone(known))
        absent = frozenset(arn for access in gone for arn in self._absent(access))
        inventory = Inventory(place, self.settings.stack, gone, named, self._tags, absent)
        return Unrecorded(findings_of_inventory(inventory), tuple(self._undecided))

    def _search_keys(self, arns: Iterable[str], running: Collection[str]) -> None:
        """The ARN of a key is noted only after it was created, and the key does not name the access of its request."""
        for arn in arns:
            if running:
                self._undecided.append(arn)
            else:
                self._search(arn, partial(self._key_tags, arn), running)

    def _search(self, arn: str, read: Callable[[], Mapping[str, str] | None], running: Collection[str]) -> None:
        try:
            tags = read()
        except _ERRORS:
            self._undecided.append(arn)
            return
        if tags is not None and tags.get(ACCESS) in running:
            self._undecided.append(arn)
        elif tags is not None:
            self._tags[arn] = tags

    def _key_tags(self, arn: str) -> Mapping[str, str] | None:
        """The tags of a key, or None if it is being deleted. Only keys with our tag are described."""
        try:
            tags = key_tags(self.clients.kms, arn)
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        if not is_ours(tags, self.settings.stack):
            return tags
        key = find_key(self.clients.kms, arn)
        return tags if key and key.state != "PendingDeletion" else None

    def _secret_tags(self, arn: str) -> Mapping[str, str] | None:
        """The present tags of a secret, or None if it is being deleted: a list can be five minutes old."""
        secret = find_secret(self.clients.secretsmanager, arn)
        return None if secret is None or secret.is_being_deleted else secret.tags

    def _gone(self, known: Iterable[KnownAccess]) -> Iterator[InventoriedAccess]:
        """The accesses whose resource is gone, which no observation reads any more."""
        for access in known:
            record, request = access.record, access.request
            if record and request and access.state == "gone" and not access.is_running:
                yield InventoriedAccess(desire(request, self.settings, record.tenant), record)

    def _absent(self, access: InventoriedAccess) -> Iterator[str]:
        """The ARNs of an access that certainly do not exist. The first one that exists ends the search."""
        for arn in access.arns:
            try:
                if self._exists(arn, access.desired, access.record):
                    return
            except _ERRORS:
                self._undecided.append(access.record.access_id)
                return
            yield arn

    def _exists(self, arn: str, desired: Desired, record: AccessRecord) -> bool:
        if arn == record.key_arn:
            return find_key(self.clients.kms, arn) is not None
        if arn == record.secret_arn:
            return find_secret(self.clients.secretsmanager, arn) is not None
        configuration = desired.system.configuration
        if arn != record.resource_arn:
            return role_tags(self.clients.iam, arn.rpartition("/")[2]) is not None
        # Nothing is concluded about a resource that no API shows.
        client = self.clients.client_for(configuration.service) if configuration else None
        return configuration is None or configuration.read(client, desired.resource) is not None


def _named_by(access: KnownAccess) -> frozenset[str]:
    """What the item of an access names: its resources, its former keys, and the role and secret of its request."""
    record, offboarded = access.record, access.offboarded
    named = {*access.grant_keys}
    if record is not None:
        named |= {arn for arn in (record.key_arn, record.secret_arn, record.resource_arn) if arn}
    if offboarded is not None:
        named |= {arn for arn in (offboarded.key_arn, offboarded.secret_arn) if arn}
    return frozenset(named)


def _is_of_aws(key_arn: str, aliases: Mapping[str, tuple[str, ...]]) -> bool:
    return any(name.startswith("alias/aws/") for name in aliases.get(key_arn.rpartition("/")[2], ()))


def report_unrecorded(
    found: Unrecorded, execution_arn: str, registry: Registry, publish_event: PublishEvent, now: datetime
) -> list[str]:
    """Publishes `Drift Detected` once for each finding and change, and `Drift Resolved` when there is none any more.

    Each event is recorded before it is published, and the findings after that, so that a crash loses none of them. Returns the
    detail types.
    """
    known_by_id = {one.access_id: one for one in registry.findings.all()}
    subjects = {*found.findings, *(name for name, one in known_by_id.items() if _is_reported_here(one))}
    for subject in sorted(subjects):
        findings, known = found.findings.get(subject, ()), known_by_id.get(subject)
        if subject.startswith(found.undecided) and not findings:
            continue
        seen = seen_findings(subject, findings, known, now)
        if {one.identity for one in findings} != {one.identity for one in (known.findings if known else ())}:
            _record(subject, seen, known, execution_arn, registry, now)
        if findings or (known and known.findings):
            registry.findings.save(seen, known)
    return [*_publish(subjects, execution_arn, registry, publish_event, now)]


def _is_reported_here(known: KnownFindings) -> bool:
    return known.is_of_resource or any(one.kind == "record-without-resource" for one in known.findings)


def _record(
    subject: str, seen: KnownFindings, known: KnownFindings | None, execution_arn: str, registry: Registry, now: datetime
) -> None:
    """Records the event. Its ID depends on what was known before, so that a repetition after a crash has the same one."""
    kind = "Drift Detected" if seen.findings else "Drift Resolved"
    before = known.seen_at.isoformat() if known else ""
    record = None if seen.is_of_resource else registry.accesses.get(subject)
    occasion = Occasion(subject, execution_arn, now, notice_id([subject, before]))
    members = common_members(occasion, None if record else _UNRECORDED, record, kind)
    notice: Notice
    if seen.is_of_resource:
        members["system"] = _NO_SYSTEM
    if seen.findings:
        notice = DriftDetected.model_validate(members | {"findings": seen.findings})
    else:
        notice = DriftResolved.model_validate(members)
    record_notice(occasion, kind, notice, registry)


def _publish(
    subjects: Collection[str], execution_arn: str, registry: Registry, publish_event: PublishEvent, now: datetime
) -> Iterator[str]:
    for notice in registry.notices.unpublished():
        if notice.access_id in subjects and notice.change.is_for(execution_arn, now):
            arns = [notice.access_id] if notice.access_id.startswith("arn:") else []
            publish_event(notice.change.kind, notice.change.detail, arns)
            registry.notices.keep_published(notice)
            yield notice.change.kind
