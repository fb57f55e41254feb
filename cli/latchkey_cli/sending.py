"""Puts a request on the bus of the stack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latchkey.registry.requests import RequestRef
from latchkey.requests.sender import SOURCE, is_tenant
from latchkey.tags import DEFAULT_TENANT
from latchkey_cli.connection import Connection
from latchkey_cli.problems import REJECTED, CliProblem


@dataclass(frozen=True)
class Sent:
    """A request on its way: its ID, its kind, and the ID of its event."""

    request_id: str
    event_id: str
    kind: str
    tenant: str = DEFAULT_TENANT

    @property
    def item_id(self) -> str:
        """The ID of its item in the registry."""
        return RequestRef(self.request_id, "", self.tenant).item_id

    @property
    def conflict_id(self) -> str:
        """The ID of the item with its outcome if its request ID was used for another request."""
        return RequestRef(self.event_id, "", self.tenant).item_id


def send(connection: Connection, kind: str, detail: Mapping[str, Any]) -> Sent:
    """Sends a request as the tenant of the command. EventBridge accepts all of it, or this raises CliProblem."""
    tenant = connection.options.tenant
    if tenant != DEFAULT_TENANT and not is_tenant(tenant):
        raise CliProblem(f"{tenant} is no name of a tenant.", "Use lowercase letters, digits and inner hyphens.", REJECTED)
    entry = {
        "EventBusName": connection.output("RequestBusName"),
        "Source": SOURCE if tenant == DEFAULT_TENANT else f"{SOURCE}.{tenant}",
        "DetailType": kind,
        "Detail": json.dumps(detail),
    }
    answer = connection.client("events").put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        failed = answer["Entries"][0]
        raise CliProblem(
            f"EventBridge did not accept the request: {failed.get('ErrorCode')}: {failed.get('ErrorMessage')}",
            "Correct the cause, and send the request again.",
        )
    return Sent(detail["requestId"], answer["Entries"][0]["EventId"], kind, tenant)
