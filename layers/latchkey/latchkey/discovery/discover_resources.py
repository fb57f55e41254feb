"""Finds the resources that use a secret and that Latchkey does not manage, and writes the requests that would adopt them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from latchkey.access.bounds import Bounds
from latchkey.access.tenants import Tenants
from latchkey.aws.clients import Clients
from latchkey.aws.data_bucket import CSV, JSON, JSON_LINES, DataBucket
from latchkey.aws.errors import translate
from latchkey.aws.grants import list_grants
from latchkey.aws.keys import find_key, list_aliases
from latchkey.aws.secrets import DEFAULT_KEY, all_secret_policies, current_keys, find_secret
from latchkey.discovery.found import Discovered, DiscoveredSecret, FoundResource, access_id, describe
from latchkey.errors import LatchkeyError
from latchkey.registry import Registry
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
_COLUMNS = (
    "accessId", "system", "resourceArn", "secretArn", "keyArn", "reader", "granted", "admitted", "sharedWith", "consents",
    "obstacles", "request",
)  # fmt: skip


class DiscoverResourcesInput(WireModel):
    """Whose resources to discover: only those that the tenant is allowed to name. `requestId` names the result."""

    request_id: RequestId
    tenant: str = DEFAULT_TENANT


class Unread(WireModel):
    """A system or resource that could not be read, so that nothing is known about it."""

    subject: str
    reason: str


class Discovery(WireModel):
    """The keys of the results, how many resources were found, and what could not be read."""

    key: str
    table_key: str
    summary_key: str
    found: int
    adoptable: int
    unread: tuple[Unread, ...]


def discover_resources(
    event: DiscoverResourcesInput,
    settings: Settings,
    registry: Registry,
    clients: Clients,
    tenants: Tenants,
    bucket: DataBucket,
) -> Discovery:
    """Writes what it finds to `discoveries/<request ID>/found.jsonl`, `found.csv` and `summary.json`. Changes nothing.

    A system or resource that cannot be read is listed as unread, and concludes nothing about others.
    """
    bounds = Bounds(settings, tenants.document(event.tenant))
    managed = {one.access_id for one in registry.accesses.all() if one.record and one.record.status not in _OVER}
    unread: list[Unread] = []
    discovered = [one for system in SYSTEMS.values() for one in _of_system(system, clients, unread)]
    others = [one for one in discovered if access_id(one) not in managed]
    users: dict[str, list[str]] = {}
    for one in discovered:
        users.setdefault(one.secret_arn, []).append(access_id(one) or one.present.arn)
    found = []
    for one in others:
        shared = tuple(sorted({*users[one.secret_arn]} - {access_id(one) or one.present.arn}))
        shown = describe(one, shared, settings, event.tenant, bounds)
        found += [shown] if shown else []
    return _write(event, found, unread, bucket)


def _of_system(system: System, clients: Clients, unread: list[Unread]) -> Iterator[Discovered]:
    configuration = system.configuration
    if configuration is None:
        return
    client = clients.client_for(configuration.service)
    try:
        members = [*configuration.discovered(client)]
    except (ClientError, BotoCoreError, LatchkeyError) as error:
        unread.append(Unread(subject=system.name, reason=_reason(error)))
        return
    for one in members:
        try:
            found = _read(system, configuration, client, one, clients)
        except (ClientError, BotoCoreError, LatchkeyError) as error:
            unread.append(Unread(subject=f"{system.name} {json.dumps(one, sort_keys=True)}", reason=_reason(error)))
        else:
            if found:
                yield found


def _read(
    system: System, configuration: Configuration, client: Any, members: dict[str, Any], clients: Clients
) -> Discovered | None:
    """The resource with its secret and key, or None if it does not exist any more or no longer uses a secret."""
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


def _write(
    event: DiscoverResourcesInput, found: Sequence[FoundResource], unread: Sequence[Unread], bucket: DataBucket
) -> Discovery:
    folder = f"discoveries/{event.tenant}/{event.request_id}"
    lines = "".join(one.model_dump_json(by_alias=True) + "\n" for one in found)
    bucket.write(f"{folder}/found.jsonl", lines.encode(), JSON_LINES)
    bucket.write(f"{folder}/found.csv", table(found).encode(), CSV)
    discovery = Discovery(
        key=f"{folder}/found.jsonl",
        tableKey=f"{folder}/found.csv",
        summaryKey=f"{folder}/summary.json",
        found=len(found),
        adoptable=sum(one.request is not None for one in found),
        unread=tuple(unread),
    )
    summary = discovery.model_dump(mode="json", by_alias=True) | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    bucket.write(discovery.summary_key, json.dumps(summary).encode(), JSON)
    return discovery


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
