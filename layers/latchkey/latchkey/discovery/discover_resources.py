"""Finds the resources that use a secret and that Latchkey does not manage, and writes the requests that would adopt them."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from latchkey.access.bounds import Bounds
from latchkey.access.tenants import Tenants
from latchkey.aws.clients import Clients
from latchkey.aws.data_bucket import CSV, JSON, JSON_LINES, DataBucket
from latchkey.aws.errors import translate
from latchkey.aws.grants import list_grants
from latchkey.aws.keys import find_key, list_aliases
from latchkey.aws.secrets import DEFAULT_KEY, all_secret_policies, current_keys, find_secret
from latchkey.discovery.found import Discovered, DiscoveredSecret, FoundResource, access_id, describe
from latchkey.discovery.pages import Page, Pages, Position, SeenResource
from latchkey.errors import Conflict, InvalidRequest, LatchkeyError, Problem
from latchkey.events.outcomes import StoredObject, Unread
from latchkey.registry import Registry
from latchkey.registry.execution_input import ExecutionInput
from latchkey.requests.lifecycle import DISCOVERY_REQUESTED, DiscoveryRequested
from latchkey.requests.models import RequestId
from latchkey.settings import Settings
from latchkey.systems import SYSTEMS
from latchkey.systems.system import Configuration, System
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel

# An access with one of these statuses no longer uses its resource, so its resource can be adopted again.
_OVER = ("gone", "detached", "offboarded")
# A cell that begins with one of these is a formula in a spreadsheet: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
# In the event of the outcome. The results list everything.
_MOST_LISTED = 20
# A resource that a tenant is not shown by name.
_NOT_SHOWN = "a resource that this tenant is not allowed to name"
_COLUMNS = (
    "accessId", "system", "resourceArn", "secretArn", "keyArn", "reader", "granted", "admitted", "sharedWith", "consents",
    "obstacles", "request",
)  # fmt: skip


class DiscoverResourcesInput(ExecutionInput):
    """A request, the first execution that carries it out, and where it continues.

    Without an execution, the function was invoked directly: it discovers everything at once for a `tenant`, and `requestId`
    names the result. `most` is the largest number of resources that one invocation reads.
    """

    request_id: RequestId
    content_hash: str = ""
    kind: str = DISCOVERY_REQUESTED
    execution_arn: str | None = None
    position: Position | None = None
    most: Annotated[int, Field(ge=1)] = 100

    @property
    def folder(self) -> str:
        """The beginning of the keys of everything that the discovery writes."""
        name = self.execution_arn.rsplit(":", 1)[1] if self.execution_arn else self.request_id
        return f"discoveries/{self.tenant}/{name}"

    @property
    def systems(self) -> tuple[str, ...]:
        """The names of the systems in the scope of the discovery."""
        known = (system.name for system in SYSTEMS.values() if system.configuration)
        return tuple(name for name in known if self.system in (None, name))


class Discovery(WireModel):
    """The members that only the outcome of a discovery has, or where it continues."""

    position: Position | None
    result: dict[str, Any] | None


def discover_resources(
    event: DiscoverResourcesInput,
    settings: Settings,
    registry: Registry,
    clients: Clients,
    tenants: Tenants,
    bucket: DataBucket,
) -> Discovery:
    """Reads one page, and after the last one writes the results: `found.jsonl`, `found.csv` and `summary.json`.

    A system or resource that cannot be read is listed as unread, and concludes nothing about others. Raises InvalidRequest with
    every problem of the request.
    """
    if event.execution_arn:
        _claim(event, registry, event.execution_arn)
    bounds = Bounds(settings, tenants.document(event.tenant))
    reading = _Reading(event, bounds, registry, clients, Pages(bucket, event.folder))
    position: Position | None = event.position or Position(system=event.systems[0])
    while position is not None:
        position = reading.read(position)
        if event.execution_arn and position is not None:
            return Discovery(position=position, result=None)
    return Discovery(position=None, result=_write(event, reading.pages, bucket))


def _claim(event: DiscoverResourcesInput, registry: Registry, execution_arn: str) -> None:
    problems = {*event.problems}
    try:
        registry.requests.claim(event.ref, execution_arn)
    except Conflict as error:
        raise InvalidRequest({*problems, Problem("requestId", str(error))}) from None
    if problems or not isinstance(event.asked, DiscoveryRequested):
        raise InvalidRequest(problems)


@dataclass(frozen=True)
class _Reading:
    event: DiscoverResourcesInput
    bounds: Bounds
    registry: Registry
    clients: Clients
    pages: Pages

    def read(self, position: Position) -> Position | None:
        """Writes the page at a position. Returns the position of the next one, or None after the last one."""
        system, unread = SYSTEMS[position.system], list[Unread]()
        if position.read == 0:
            self.pages.list(system.name, self._listed(system, unread))
        listed, end = self.pages.listed(system.name), position.read + self.event.most
        discovered = self._discovered(system, listed[position.read : end], unread)
        managed = {one.access_id for one in self.registry.accesses.all() if one.record and one.record.status not in _OVER}
        seen = tuple(self._seen(one, managed) for one in discovered)
        self.pages.write(position, Page(seen=seen, unread=self._shown(unread)))
        if end < len(listed):
            return Position(system=system.name, read=end)
        following = self.event.systems[self.event.systems.index(system.name) + 1 :]
        return Position(system=following[0]) if following else None

    def _listed(self, system: System, unread: list[Unread]) -> list[dict[str, Any]]:
        configuration = _configuration(system)
        try:
            return [*configuration.discovered(self.clients.client_for(configuration.service))]
        except (ClientError, BotoCoreError, LatchkeyError) as error:
            unread.append(Unread(subject=system.name, reason=_reason(error)))
            return []

    def _discovered(self, system: System, listed: Sequence[dict[str, Any]], unread: list[Unread]) -> list[Discovered]:
        found = list[Discovered]()
        for members in listed:
            try:
                one = _read(system, members, self.clients)
            except (ClientError, BotoCoreError, LatchkeyError) as error:
                unread.append(Unread(subject=f"{system.name} {json.dumps(members, sort_keys=True)}", reason=_reason(error)))
            else:
                found += [one] if one else []
        return found

    def _seen(self, one: Discovered, managed: Set[str]) -> SeenResource:
        name, tenant = access_id(one), self.event.tenant
        shown = None if name in managed else describe(one, self.bounds.settings, tenant, self.bounds)
        return SeenResource(name=name or one.present.arn, secretArn=one.secret_arn, found=shown)

    def _shown(self, unread: Sequence[Unread]) -> tuple[Unread, ...]:
        """What could not be read. Tenants are shown no resource that they may not be allowed to name."""
        if self.event.tenant == DEFAULT_TENANT:
            return tuple(unread)
        systems = dict.fromkeys(one.subject.split(" ")[0] for one in unread)
        return tuple(Unread(subject=system, reason="some resources could not be read") for system in systems)


def _configuration(system: System) -> Configuration:
    if system.configuration is None:
        raise LatchkeyError(f"no API shows the resources of {system.name}")
    return system.configuration


def _read(system: System, members: dict[str, Any], clients: Clients) -> Discovered | None:
    """The resource with its secret and key, or None if it does not exist any more or no longer uses a secret."""
    configuration = _configuration(system)
    client = clients.client_for(configuration.service)
    # A resource that no request can describe is read as it is: by its name.
    resource = system.resource.model_construct(**{_snake(name): value for name, value in members.items()})
    present = configuration.read(client, resource)
    if present is None or present.secret_arn is None:
        return None
    secret = _secret(present.secret_arn, clients)
    return Discovered(system, members, present, configuration.consent_target(client, present), secret)


def _secret(secret_arn: str, clients: Clients) -> DiscoveredSecret | None:
    secret = find_secret(clients.secretsmanager, secret_arn)
    if secret is None:
        return None
    key_id = current_keys(secret, clients.kms, clients.secretsmanager)[0]
    policy = all_secret_policies(clients.secretsmanager, secret.arn)
    key = None if key_id == DEFAULT_KEY else find_key(clients.kms, key_id)
    if key is None:
        return DiscoveredSecret(secret, key_id, None, policy)
    return DiscoveredSecret(
        secret, key_id, key, policy, list_grants(clients.kms, key.arn).grants, list_aliases(clients.kms, key.arn)
    )


def _write(event: DiscoverResourcesInput, pages: Pages, bucket: DataBucket) -> dict[str, Any]:
    """Writes the results, and returns the members of the outcome."""
    read = [page for system in event.systems for page in pages.read(system, event.most)]
    found = [*_with_shared([one for page in read for one in page.seen], event.tenant)]
    unread = [one for page in read for one in page.unread]
    lines = "".join(one.model_dump_json(by_alias=True) + "\n" for one in found)
    results, rows = f"{event.folder}/found.jsonl", f"{event.folder}/found.csv"
    versions = (bucket.write(results, lines.encode(), JSON_LINES), bucket.write(rows, table(found).encode(), CSV))
    obstacles = Counter(rule for one in found for rule in {obstacle.rule for obstacle in one.obstacles})
    result = {
        "status": "completed",
        "found": len(found),
        "adoptable": sum(one.request is not None for one in found),
        "systems": dict(sorted(Counter(one.system for one in found).items())),
        "missingConsents": len({consent.arn for one in found for consent in one.consents}),
        "obstacles": dict(obstacles.most_common(_MOST_LISTED)),
        "unread": [one.model_dump(mode="json", by_alias=True) for one in unread[:_MOST_LISTED]],
        "unreadCount": len(unread),
        "results": _stored(bucket, results, versions[0]),
        "table": _stored(bucket, rows, versions[1]),
    }
    summary = result | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    bucket.write(f"{event.folder}/summary.json", json.dumps(summary).encode(), JSON)
    return result


def _stored(bucket: DataBucket, key: str, version: str | None) -> dict[str, Any]:
    return StoredObject(bucket=bucket.name, key=key, versionId=version).model_dump(mode="json", by_alias=True)


def _with_shared(seen: Sequence[SeenResource], tenant: str) -> Iterator[FoundResource]:
    """The resources that the tenant is shown, each with the other users of its secret, of which it is shown no other names."""
    users: dict[str, set[str]] = {}
    for one in seen:
        shown = one.found is not None or tenant == DEFAULT_TENANT
        users.setdefault(one.secret_arn, set()).add(one.name if shown else _NOT_SHOWN)
    for one in seen:
        if one.found:
            yield one.found.model_copy(update={"shared_with": tuple(sorted(users[one.secret_arn] - {one.name}))})


def table(found: Sequence[FoundResource]) -> str:
    """The resources as CSV. Lists and requests are JSON, and no cell is a formula."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(_COLUMNS)
    for one in found:
        members = one.model_dump(mode="json", by_alias=True)
        rows.writerow([_cell(members[name]) for name in _COLUMNS])
    return text.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _reason(error: ClientError | BotoCoreError | LatchkeyError) -> str:
    return str(error if isinstance(error, LatchkeyError) else translate(error))


def _snake(name: str) -> str:
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name)
