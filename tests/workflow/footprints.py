"""What an AWS call of a function reads and writes. Two calls commute if neither writes what the other one reads or writes.

A footprint is derived from the parameters of the call. If they do not say exactly what the call touches, it touches more: all
keys, all secrets, or everything. The parts of a resource are separate: its policy, its grants and the rest.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Parameters = Mapping[str, Any]

# Matches every resource.
EVERYTHING = "*"
_KEY_PARTS = ("policy", "grants", "state")
_SECRET_PARTS = ("policy", "state")
_SECRET_ARN = re.compile(r"arn:[^:\s\"]+:secretsmanager:[^\s\"\\]+")


@dataclass(frozen=True)
class TracedCall:
    """A call in the trace of the embedded AWS.

    `failed` says whether an injected fault hit it `before` or `after` its effect, and `status` is that of its response.
    """

    request: str
    principal: str
    service: str
    operation: str
    path: str
    parameters: Parameters
    failed: str | None = None
    status: int | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the service answered with an error of its own, so that the call changed nothing."""
        return self.failed is None and self.status is not None and self.status >= 400

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "TracedCall":
        return cls(**entry)

    def __str__(self) -> str:
        return f"{self.service} {self.operation} {self.failed or ''}".rstrip()


@dataclass(frozen=True)
class Footprint:
    """Names of resources. A name that ends with `*` stands for all that begin with it."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()

    def commutes_with(self, other: "Footprint") -> bool:
        return not (
            _overlap(self.writes, other.writes) or _overlap(self.writes, other.reads) or _overlap(self.reads, other.writes)
        )


class Footprints:
    """The footprints of the calls of some traces.

    Calls name a key by its alias, ID or ARN, and use a secret or a key that an earlier call has named. The traces say which.
    A secret that exists before is under the key aws/secretsmanager, which nobody changes.
    """

    def __init__(self, calls: Iterable[TracedCall]) -> None:
        self._of_alias, self._of_secret, self._of_location = _Names(), _Names(), _Names()
        for call in calls:
            named = call.parameters
            if "TargetKeyId" in named:
                self._of_alias.add(named["AliasName"], _key_id(named["TargetKeyId"]))
            if call.service == "secretsmanager" and "KmsKeyId" in named:
                self._of_secret.add(_secret_name(named.get("SecretId") or named["Name"]), named["KmsKeyId"])
            if location := _location_name(call):
                for arn in _SECRET_ARN.findall(json.dumps(dict(named))):
                    self._of_location.add(location, _secret_name(arn))

    def of(self, call: TracedCall) -> Footprint:
        if call.failed == "before":
            return Footprint()
        find = {
            "dynamodb": _item,
            "events": _nothing,
            "iam": _role,
            "kms": self._key,
            "mediatailor": self._location,
            "secretsmanager": self._secret,
            "ssm": _parameter,
            "stepfunctions": _execution,
            "sts": _nothing,
        }.get(call.service, _anything)
        found = find(call)
        return Footprint(found.reads | found.writes) if call.is_refused else found

    def _key(self, call: TracedCall) -> Footprint:
        named, operation = call.parameters, call.operation
        if operation == "CreateKey":  # The new key has no ID in the call.
            return _writes(f"keys/{call.request}")
        if operation == "ListKeys":
            return _reads("keys/*")
        if operation == "ListAliases" and "KeyId" not in named:
            return _reads("alias/*")
        keys = [named[member] for member in ("KeyId", "TargetKeyId", "AliasName") if member in named]
        if not keys:
            return _anything(call)
        # The policy, the tags and the aliases of a key decide whether a call is allowed.
        read = {part for key in keys for part in self._parts_of_key(key, ("policy", "state"))}
        if operation == "ListAliases":
            return _reads(*read, "alias/*")
        if operation.startswith(("Describe", "Get", "List")):
            return _reads(*read, *(self._parts_of_key(keys[0], ("grants",)) if operation == "ListGrants" else ()))
        part = "policy" if operation == "PutKeyPolicy" else "grants" if operation.endswith("Grant") else "state"
        return Footprint(frozenset(read), frozenset().union(*(self._parts_of_key(key, (part,)) for key in keys)))

    def _secret(self, call: TracedCall) -> Footprint:
        named, operation = call.parameters, call.operation
        if operation in ("ListSecrets", "BatchGetSecretValue"):
            return _reads("secret/*", *self._parts_of_key(EVERYTHING))
        secret = named.get("SecretId") or named.get("Name")
        if secret is None:
            return _anything(call)
        read = _parts_of_secret(_secret_name(secret))
        if operation.startswith(("Describe", "Get", "List", "Validate")) and operation != "GetSecretValue":
            return _reads(*read)
        if operation in ("PutResourcePolicy", "DeleteResourcePolicy"):
            return Footprint(frozenset(read), frozenset(_parts_of_secret(_secret_name(secret), ("policy",))))
        used = self._keys_of_secret(_secret_name(secret))  # reading and writing a value uses the key
        return _reads(*read, *used) if operation == "GetSecretValue" else Footprint(frozenset({*read, *used}), frozenset(read))

    def _location(self, call: TracedCall) -> Footprint:
        """MediaTailor reads the secret of a location with a grant that it creates on the key of the secret."""
        if call.operation == "ListSourceLocations":
            return _reads("location/*")
        name = _location_name(call)
        if name is None:
            return _anything(call)
        location = f"location/{name}"
        secrets = self._of_location.of(name)
        keys = {part for secret in secrets for part in self._keys_of_secret(secret)}
        used = {location, *keys, *(part for secret in secrets for part in _parts_of_secret(secret))}
        if call.operation.startswith(("Create", "Update", "Delete")):
            return Footprint(frozenset(used), frozenset({location, *(key for key in keys if key.startswith("grants"))}))
        if call.operation == "ListAlerts":  # an alert depends on the policies of the secret and the key
            return _reads(*used)
        return _reads(location) if call.operation.startswith(("Describe", "List")) else _writes(location)

    def _keys_of_secret(self, secret: str) -> set[str]:
        return {part for key in self._of_secret.of(secret) for part in self._parts_of_key(key)}

    def _parts_of_key(self, named: str, parts: tuple[str, ...] = _KEY_PARTS) -> set[str]:
        is_alias = named.startswith("alias/")
        keys = self._of_alias.of(named) or {EVERYTHING} if is_alias else {_key_id(named)}
        return {*((named,) if is_alias else ()), *(f"{part} of key/{key}" for key in keys for part in parts)}


class _Names(dict[str, set[str]]):
    """What each name was given in the traces."""

    def add(self, name: str, given: str) -> None:
        self.setdefault(name, set()).add(given)

    def of(self, name: str) -> set[str]:
        return self.get(name, set())


def _item(call: TracedCall) -> Footprint:
    named = call.parameters
    table = f"{named.get('TableName')}/"
    if call.operation == "Query":
        values = named["ExpressionAttributeValues"]
        return _reads(f"{table}{values[':kind']['S']}/{values.get(':beginning', {'S': ''})['S']}*")
    if call.operation == "Scan":
        return _reads(f"{table}*")
    key = named.get("Key") or named.get("Item")
    if key is None:
        return _anything(call)
    item = f"{table}{key['kind']['S']}/{key['id']['S']}"
    return _reads(item) if call.operation == "GetItem" else _writes(item)


def _role(call: TracedCall) -> Footprint:
    if call.operation.startswith(("Simulate", "ListRoles")) or "RoleName" not in call.parameters:
        return _reads("role/*") if call.operation.startswith(("Get", "List", "Simulate")) else _anything(call)
    role = f"role/{call.parameters['RoleName']}"
    return _reads(role) if call.operation.startswith(("Get", "List")) else _writes(role)


def _parameter(call: TracedCall) -> Footprint:
    return _reads("parameter/*") if call.operation.startswith("Get") else _anything(call)


def _execution(call: TracedCall) -> Footprint:
    """An execution ends after the last call of its request, so reading its status commutes with all calls of the request."""
    if call.operation.startswith("Describe"):
        return Footprint()
    return (
        _writes(f"execution/{call.parameters.get('name', EVERYTHING)}")
        if call.operation == "StartExecution"
        else _anything(call)
    )


def _nothing(_call: TracedCall) -> Footprint:
    """Of an event that subscribers receive in any order, or of an identity."""
    return Footprint()


def _anything(_call: TracedCall) -> Footprint:
    return _writes(EVERYTHING)


def _reads(*names: str) -> Footprint:
    return Footprint(reads=frozenset(names))


def _writes(*names: str) -> Footprint:
    return Footprint(frozenset(names), frozenset(names))


def _key_id(named: str) -> str:
    return named.rpartition("/")[2]


def _secret_name(named: str) -> str:
    """The name of a secret. An ARN ends with a hyphen and six random characters after the name."""
    return named.split(":", 6)[6][:-7] if named.startswith("arn:") else named


def _parts_of_secret(name: str, parts: tuple[str, ...] = _SECRET_PARTS) -> set[str]:
    return {f"secret/{name}/{part}" for part in parts}


def _location_name(call: TracedCall) -> str | None:
    text = f"{call.path} {call.parameters.get('resourceArn', '')}" if call.service == "mediatailor" else ""
    found = re.search(r"[/:]sourceLocation/([^/ ]+)", text)
    return found[1] if found else None


def _overlap(some: Iterable[str], others: Iterable[str]) -> bool:
    return any(_same(one, other) for one in some for other in others)


def _same(one: str, other: str) -> bool:
    if one.endswith("*") and other.endswith("*"):
        return one[:-1].startswith(other[:-1]) or other[:-1].startswith(one[:-1])
    if one.endswith("*"):
        return other.startswith(one[:-1])
    return one.startswith(other[:-1]) if other.endswith("*") else one == other
