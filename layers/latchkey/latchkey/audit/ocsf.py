"""The form in which audit records are exported: events of the Open Cybersecurity Schema Framework. Pure.

An event is of class 6003, API Activity. The whole record is its member `unmapped`, by which an export is verified.
https://schema.ocsf.io/1.3.0/classes/api_activity
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from latchkey.access.audit_record import ChainedRecord
from latchkey.audit.chain import canonical
from latchkey.audit.facts import Action
from latchkey.place import Place

_CATEGORY, _CLASS, _VERSION = 6, 6003, "1.3.0"
_OTHER = 99
# Create 1, Update 3 and Delete 4. Decisions, reads of evidence and events are Other.
_ACTIVITIES: Mapping[Action, int] = MappingProxyType(
    {
        Action.CHANGE_MADE: 3,
        Action.CHANGE_ROLLED_BACK: 3,
        Action.ACCESS_RECORDED: 3,
        Action.ACCESS_CHANGED: 3,
        Action.GRANT_RESTORED: 1,
        Action.GRANT_REVOKED: 4,
        Action.ITEM_REMOVED: 4,
    }
)
_UNKNOWN, _SUCCESS, _FAILURE = 0, 1, 2
_INFORMATIONAL, _MEDIUM, _HIGH = 1, 3, 4
_SEVERITIES: Mapping[Action, int] = MappingProxyType(
    {Action.REVOCATION_FAILED: _HIGH, Action.ITEM_REMOVED: _HIGH, Action.CHANGE_LEFT: _MEDIUM}
)


def event_of(record: ChainedRecord, place: Place) -> dict[str, Any]:
    """The event of a record."""
    members: dict[str, Any] = json.loads(record.text)
    action = Action(members["action"])
    activity = _ACTIVITIES.get(action, _OTHER)
    return {
        "activity_id": activity,
        "actor": _actor(members),
        "api": {"operation": action.value, "request": {"uid": members["requestId"] or ""}, "service": {"name": "latchkey"}},
        "category_uid": _CATEGORY,
        "class_uid": _CLASS,
        "cloud": {"account": {"uid": place.account}, "provider": "AWS", "region": place.region},
        "metadata": {
            "correlation_uid": members["executionArn"] or members["requestId"] or "",
            "product": {"name": "Latchkey", "vendor_name": "Latchkey"},
            "profiles": ["cloud"],
            "sequence": record.number,
            "uid": record.source,
            "version": _VERSION,
        },
        "resources": [{"name": members["accessId"]}, *({"uid": arn} for arn in sorted({*_arns(members)}))],
        "severity_id": _SEVERITIES.get(action, _INFORMATIONAL),
        "src_endpoint": {"svc_name": "latchkey"},
        "status_id": _status(action, members),
        "time": int(datetime.fromisoformat(members["at"]).timestamp() * 1000),
        "type_uid": _CLASS * 100 + activity,
        "unmapped": {"hash": record.hash, "record": members},
    }


def record_of(event: Mapping[str, Any]) -> ChainedRecord:
    """The record in an event. Raises KeyError or TypeError if the event contains none."""
    members, unmapped = event["metadata"], event["unmapped"]
    return ChainedRecord(str(members["uid"]), int(members["sequence"]), str(unmapped["hash"]), canonical(unmapped["record"]))


def _actor(members: Mapping[str, Any]) -> dict[str, Any]:
    """Who acted: the principal of the trail event, else the sender of the request, else the function."""
    principal = members["principal"]
    actor: dict[str, Any] = {"invoked_by": principal["function"]} if "function" in principal else {}
    user = {"uid": principal["cloudTrailPrincipal"]} if "cloudTrailPrincipal" in principal else {}
    user |= {"account": {"uid": principal["senderAccount"]}} if "senderAccount" in principal else {}
    user |= {"org": {"name": members["tenant"]}} if members["tenant"] else {}
    return actor | ({"user": user} if user else {}) | ({} if actor or user else {"app_name": "latchkey"})


def _status(action: Action, members: Mapping[str, Any]) -> int:
    if action in (Action.REVOCATION_FAILED, Action.CHANGE_LEFT):
        return _FAILURE
    if action is Action.OUTCOME_RECORDED:
        return _FAILURE if (members["after"] or {}).get("status") in ("failed", "rejected") else _SUCCESS
    return _SUCCESS if action in (Action.CHANGE_MADE, Action.GRANT_REVOKED, Action.ACCESS_RECORDED) else _UNKNOWN


def _arns(members: Mapping[str, Any]) -> Iterator[str]:
    """The ARNs of keys, secrets and resources that a record names at the first level."""
    places = (members["before"], members["after"], members["evidence"])
    for place in places:
        for value in place.values() if isinstance(place, Mapping) else ():
            if isinstance(value, str) and value.startswith("arn:"):
                yield value
    subject: str = members["subject"]
    if " arn:" in subject:
        yield subject.partition(" ")[2]
