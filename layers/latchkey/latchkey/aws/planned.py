"""Clients that record changes instead of making them, so that a plan runs the same code that carries it out.

Reads are made as usual, and answered as they would be after the recorded changes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from botocore import xform_name
from botocore.exceptions import ClientError

from latchkey.aws.clients import Clients
from latchkey.aws.errors import code_of, is_missing
from latchkey.aws.keys import rotation_days
from latchkey.aws.pages import read_pages
from latchkey.aws.planned_media import ShownResource
from latchkey.errors import LatchkeyError
from latchkey.place import Place
from latchkey.policies import Document

_READS: Final = ("BatchGet", "Describe", "Get", "List", "Simulate")
# Placeholders for IDs that AWS assigns to new resources. As in policies, a question mark stands for one character.
NEW_KEY_ID: Final = "????????-????-????-????-????????????"
NEW_SUFFIX: Final = "-??????"
_CURRENT, _PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
KEY_POLICY, SECRET_POLICY, TRUST_POLICY = "key policy", "resource policy", "trust policy"


@dataclass(frozen=True)
class PlannedCall:
    """A call that changes something, and the role that would make it."""

    role: str
    service: str
    operation: str
    parameters: Mapping[str, Any]


@dataclass
class State:
    """The settings and policies of a resource; `tags` are those by which permissions are limited.

    `stages` are the labels of each version of a secret.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    policies: dict[str, Document] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    stages: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class PlannedResource:
    """A resource that is changed: its state before, or None if it is created, and after, or None if it is removed.

    `removal` is how a resource is removed, such as its recovery window.
    """

    kind: str
    name: str
    before: State | None
    after: State | None
    removal: dict[str, Any] = field(default_factory=dict)

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which the permissions for a call are limited."""
        return (self.after or self.before or State()).tags


type _Answer = dict[str, Any]
# What a call changes, and its answer.
type _Effect = Callable[[PlannedChanges, Mapping[str, Any]], _Answer]
# The answer of a read after the planned changes. The function calls AWS.
type _Overlay = Callable[[PlannedChanges, Mapping[str, Any], Callable[[], Any]], Any]


class PlannedChanges:
    """The changes that the calls of all planned clients would make. `clients` make the reads.

    `shown` are the resources of media services, by service.
    """

    def __init__(self, place: Place, clients: Clients, shown: Mapping[str, ShownResource] | None = None) -> None:
        self.calls: list[PlannedCall] = []
        self.place = place
        self.real = clients
        self._resources: dict[tuple[str, str], PlannedResource] = {}
        self._aliases: dict[str, str] = {}
        self._grants: list[tuple[str, str, str, _Answer]] = []
        self.shown = shown or {}
        self._media: dict[tuple[str, str], _Answer | None] = {}

    @property
    def resources(self) -> list[PlannedResource]:
        """Every resource that a call would change, in the order of the first call."""
        return [*self._resources.values()]

    def clients(self, role: str) -> Clients:
        """The clients of a function with this role."""

        def client_for(service: str) -> Any:
            return PlannedClient(self.real.client_for(service), service, role, self)

        return replace(
            self.real,
            kms=PlannedClient(self.real.kms, "kms", role, self),  # type: ignore[arg-type]
            secretsmanager=PlannedClient(self.real.secretsmanager, "secretsmanager", role, self),  # type: ignore[arg-type]
            iam=PlannedClient(self.real.iam, "iam", role, self),  # type: ignore[arg-type]
            client_for=client_for,
            updating=client_for,
        )

    def expect_grant(self, service: str, name: str, key_arn: str, grant: _Answer) -> None:
        """After a call that changes this resource, ListGrants returns the grant that its service creates."""
        self._grants.append((service, name, key_arn, grant))

    def find(self, kind: str, name: str) -> PlannedResource | None:
        """The resource if a call changes it."""
        return self._resources.get((kind, name))

    def created(self, kind: str, name: str) -> State | None:
        """The state of a resource that a call creates, or None."""
        found = self.find(kind, name)
        return found.after if found and found.before is None else None

    def create(self, kind: str, name: str, state: State) -> None:
        self._resources[kind, name] = PlannedResource(kind, name, None, state)

    def change(self, kind: str, name: str, read: Callable[[], State]) -> State:
        """The state of a resource, to be changed. `read` is called once, for a resource that no call has changed yet."""
        found = self.find(kind, name)
        if found is None:
            before = read()
            after = copy.deepcopy(before)
            found = self._resources[kind, name] = PlannedResource(kind, name, before, after)
        if found.after is None:
            raise LatchkeyError(f"{kind} {name} would be changed after its removal")
        return found.after

    def remove(self, kind: str, name: str, read: Callable[[], State], **removal: Any) -> None:
        """Removes a resource that a call has not removed yet."""
        self.change(kind, name, read)
        self._resources[kind, name].after = None
        self._resources[kind, name].removal = removal

    def removed(self, kind: str, name: str) -> bool:
        """Whether a call removes the resource."""
        found = self.find(kind, name)
        return found is not None and found.after is None

    def change_media(self, service: str, operation: str, parameters: Mapping[str, Any]) -> _Answer:
        """Records the effect of a call to a media service."""
        shown = self.shown.get(service)
        effect = shown.effects.get(operation) if shown else None
        if shown is None or effect is None:
            raise LatchkeyError(f"{service}:{operation} cannot be planned")
        name = shown.name(parameters)
        found = self._media[service, name] if (service, name) in self._media else self._read_media(service, shown, parameters)
        self._media[service, name] = effect(copy.deepcopy(found or {}), parameters, self.place)
        return {}

    def _read_media(self, service: str, shown: ShownResource, parameters: Mapping[str, Any]) -> _Answer:
        """The resource as its service returns it; empty if it does not exist."""
        client = self.real.client_for(service)
        try:
            found: _Answer = getattr(client, xform_name(shown.read_by))(**{name: parameters[name] for name in shown.named_by})
        except ClientError as error:
            if not is_missing(error):
                raise
            return {}
        return {member: value for member, value in found.items() if member != "ResponseMetadata"}

    def read_media(self, service: str, operation: str, parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
        """The answer of a read of a media service after the planned calls."""
        shown = self.shown.get(service)
        if shown is not None and operation == shown.listed_by:
            return self._list_media(service, shown, parameters, ask())
        if shown is None or operation != shown.read_by or (service, shown.name(parameters)) not in self._media:
            return ask()
        found = self._media[service, shown.name(parameters)]
        if found is None:
            raise _missing(operation, "NotFoundException")
        return copy.deepcopy(found)

    def _list_media(self, service: str, shown: ShownResource, parameters: Mapping[str, Any], found: _Answer) -> _Answer:
        """The present resources that no call changes. The first page also has those that calls create or update."""
        changed = {name: one for (of, name), one in self._media.items() if of == service}
        kept = [item for item in found.get(shown.listed, []) if shown.name(item) not in changed]
        new = [] if "NextToken" in parameters else [copy.deepcopy(one) for one in changed.values() if one is not None]
        return {**found, shown.listed: [*kept, *new]}

    def media_name(self, call: PlannedCall) -> str:
        """The name of the resource of a call to a media service."""
        return self.shown[call.service].name(call.parameters)

    def is_about(self, call: PlannedCall, name: str) -> bool:
        """Whether a call to a media service is about the resource with this name.

        Where a call names the resource in another way, such as a part of a flow, every call is.
        """
        shown = self.shown[call.service]
        return not shown.is_named or shown.name(call.parameters) == name

    def alias_target(self, alias: str) -> str | None:
        """The key of an alias that a call deletes."""
        found = self.find("alias", alias)
        return str(found.before.settings["key"]) if found and found.before else None

    def key_tags(self, key_arn: str) -> dict[str, str]:
        """The tags of a key, by which the permissions for a call are limited."""
        found = self.find("key", key_arn)
        return found.tags if found else _read_key_tags(self, key_arn)

    def key_arn(self, key: str) -> str:
        """The ARN of a key that is named by its ARN or by an alias that a call creates."""
        return self._aliases.get(key, key)

    def name_key(self, alias: str, key_arn: str) -> None:
        self._aliases[alias] = key_arn

    def grants_on(self, key_arn: str) -> Iterator[_Answer]:
        """The grants that services would have created on a key."""
        yield from (grant for service, name, key, grant in self._grants if key == key_arn and (service, name) in self._media)


class PlannedClient:
    """A boto3 client whose changes are recorded, and whose reads include them."""

    def __init__(self, real: Any, service: str, role: str, changes: PlannedChanges) -> None:
        self._real, self._service, self._role, self._changes = real, service, role, changes
        self.meta, self.exceptions = real.meta, real.exceptions

    def __getattr__(self, method: str) -> Callable[..., Any]:
        operation = self.meta.method_to_api_mapping[method]

        def call(**parameters: Any) -> Any:
            if operation.startswith(_READS):

                def ask() -> Any:
                    return getattr(self._real, method)(**parameters)

                overlay = _OVERLAYS.get((self._service, operation))
                if overlay is not None:
                    return overlay(self._changes, parameters, ask)
                return self._changes.read_media(self._service, operation, parameters, ask)
            effect = _EFFECTS.get((self._service, operation))
            if effect is not None:
                answer = effect(self._changes, parameters)
            else:
                answer = self._changes.change_media(self._service, operation, parameters)
            self._changes.calls.append(PlannedCall(self._role, self._service, operation, parameters))
            return answer

        return call


# ---------------------------------------------------------------- keys


def _create_key(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    arn = changes.place.arn("kms", f"key/{NEW_KEY_ID}")
    tags = {tag["TagKey"]: tag["TagValue"] for tag in parameters.get("Tags", [])}
    state = State({"description": parameters["Description"]}, {KEY_POLICY: json.loads(parameters["Policy"])}, tags)
    changes.create("key", arn, state)
    return {"KeyMetadata": _metadata(arn)}


def _metadata(arn: str) -> _Answer:
    """What DescribeKey returns for a new key."""
    return {
        "Arn": arn,
        "KeyId": arn.rsplit("/", 1)[1],
        "KeyState": "Enabled",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "Origin": "AWS_KMS",
        "MultiRegion": False,
        "KeyManager": "CUSTOMER",
        "CreationDate": datetime.now(UTC),
    }


def _key(changes: PlannedChanges, key_arn: str) -> State:
    return changes.change("key", key_arn, lambda: _read_key(changes, key_arn))


def _read_key(changes: PlannedChanges, key_arn: str) -> State:
    kms = changes.real.kms
    policy = json.loads(kms.get_key_policy(KeyId=key_arn, PolicyName="default")["Policy"])
    return State(policies={KEY_POLICY: policy}, tags=_read_key_tags(changes, key_arn))


def _read_key_tags(changes: PlannedChanges, key_arn: str) -> dict[str, str]:
    pages = read_pages(changes.real.kms.list_resource_tags, KeyId=key_arn)
    return {tag["TagKey"]: tag["TagValue"] for page in pages for tag in page["Tags"]}


def _schedule_key_deletion(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    arn, days = parameters["KeyId"], parameters["PendingWindowInDays"]
    changes.remove("key", arn, lambda: _read_key(changes, arn), recoveryDays=days)
    return {"KeyId": arn, "KeyState": "PendingDeletion"}


def _delete_alias(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    def read() -> State:
        found = changes.real.kms.describe_key(KeyId=parameters["AliasName"])
        return State({"key": found["KeyMetadata"]["Arn"]})

    changes.remove("alias", parameters["AliasName"], read)
    return {}


def _revoke_grant(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    changes.remove("grant", parameters["GrantId"], lambda: State({"key": parameters["KeyId"]}))
    return {}


def _create_alias(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    name, key_arn = parameters["AliasName"], parameters["TargetKeyId"]
    changes.create("alias", name, State({"key": key_arn}))
    changes.name_key(name, key_arn)
    return {}


def _enable_rotation(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    arn = parameters["KeyId"]
    state, known = _key(changes, arn), changes.find("key", arn)
    if known and known.before is not None and "rotationDays" not in known.before.settings:
        known.before.settings["rotationDays"] = rotation_days(changes.real.kms, arn)
    state.settings["rotationDays"] = parameters["RotationPeriodInDays"]
    return {}


def _put_key_policy(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    _key(changes, parameters["KeyId"]).policies[KEY_POLICY] = json.loads(parameters["Policy"])
    return {}


def _describe_key(changes: PlannedChanges, parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
    named = parameters["KeyId"]
    arn = changes.key_arn(named)
    if changes.created("key", arn):
        return {"KeyMetadata": _metadata(arn)}
    if changes.removed("alias", named):
        raise _missing("DescribeKey", "NotFoundException")
    found = ask() if arn == named else changes.real.kms.describe_key(KeyId=arn)
    state = {"KeyState": "PendingDeletion"} if changes.removed("key", found["KeyMetadata"]["Arn"]) else {}
    return {**found, "KeyMetadata": {**found["KeyMetadata"], **state}}


def _key_tags(changes: PlannedChanges, parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
    state = changes.created("key", parameters["KeyId"])
    return {"Tags": [{"TagKey": name, "TagValue": value} for name, value in state.tags.items()]} if state else ask()


def _get_key_policy(changes: PlannedChanges, parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
    found = changes.find("key", parameters["KeyId"])
    return {"Policy": json.dumps(found.after.policies[KEY_POLICY])} if found and found.after else ask()


def _rotation_status(changes: PlannedChanges, parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
    found = changes.find("key", parameters["KeyId"])
    if found is None or found.after is None or "rotationDays" not in found.after.settings:
        return {"KeyRotationEnabled": False} if found and found.before is None else ask()
    return {"KeyRotationEnabled": True, "RotationPeriodInDays": found.after.settings["rotationDays"]}


def _list_grants(changes: PlannedChanges, parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
    """The first page contains the planned grants, and has all grants of a planned key."""
    arn = parameters["KeyId"]
    new = [*changes.grants_on(arn)] if "Marker" not in parameters else []
    if changes.created("key", arn):
        return {"Grants": new, "Truncated": False}
    found = ask()
    left = [grant for grant in found["Grants"] if not changes.removed("grant", grant["GrantId"])]
    return {**found, "Grants": [*left, *new]}


def _list_aliases(changes: PlannedChanges, parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
    """The aliases that no call deletes. The first page also has the new ones, and has all aliases of a planned key."""
    arn = parameters.get("KeyId")
    new = [
        {"AliasName": one.name, "TargetKeyId": str(one.after.settings["key"]).rsplit("/", 1)[1]}
        for one in changes.resources
        if one.kind == "alias" and one.before is None and one.after and arn in (None, one.after.settings["key"])
    ]
    if arn is not None and changes.created("key", arn):
        return {"Aliases": new, "Truncated": False}
    found = ask()
    left = [alias for alias in found["Aliases"] if not changes.removed("alias", alias["AliasName"])]
    return {**found, "Aliases": [*left, *(new if "Marker" not in parameters else [])]}


# ---------------------------------------------------------------- secrets


def _create_secret(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    arn = changes.place.arn("secretsmanager", f"secret:{parameters['Name']}{NEW_SUFFIX}")
    tags = {tag["Key"]: tag["Value"] for tag in parameters.get("Tags", [])}
    settings = {"description": parameters["Description"], "key": parameters["KmsKeyId"], "value": "a new value"}
    changes.create("secret", arn, State(settings, tags=tags, stages={"new": [_CURRENT]}))
    return {"ARN": arn, "Name": parameters["Name"]}


def _secret(changes: PlannedChanges, secret: str) -> State:
    return changes.change("secret", secret, lambda: _read_secret(changes, secret))


def _read_secret(changes: PlannedChanges, secret: str) -> State:
    secretsmanager = changes.real.secretsmanager
    found = secretsmanager.describe_secret(SecretId=secret)
    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
    stages = {version: [*labels] for version, labels in found.get("VersionIdsToStages", {}).items()}
    return State({"key": found.get("KmsKeyId")}, _read_policies(changes, secret), tags, stages)


def _read_policies(changes: PlannedChanges, secret: str) -> dict[str, Document]:
    """The resource policy. That of a secret that is scheduled for deletion cannot be read, and is then taken for empty."""
    try:
        text = changes.real.secretsmanager.get_resource_policy(SecretId=secret).get("ResourcePolicy")
    except ClientError as error:
        if code_of(error) != "InvalidRequestException":
            raise
        return {}
    return {SECRET_POLICY: json.loads(text)} if text else {}


def _restore_secret(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    arn = parameters["SecretId"]
    state, known = _secret(changes, arn), changes.find("secret", arn)
    if known and known.before is not None:
        known.before.settings["deletion"] = "scheduled"
    state.settings["deletion"] = "canceled"
    return {"ARN": arn}


def _put_secret_value(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    """A new version, which is the current one unless the call gives it another label."""
    state, version = _secret(changes, parameters["SecretId"]), parameters["ClientRequestToken"]
    for label in parameters.get("VersionStages", [_CURRENT]):
        _move_label(state, label, version)
    state.settings["value"] = "a new version"
    return {"VersionId": version}


def _move_stage(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    state, label = _secret(changes, parameters["SecretId"]), parameters["VersionStage"]
    _move_label(state, label, parameters.get("MoveToVersionId"))
    state.settings["labels"] = f"{state.settings.get('labels', '')} {label}".strip()
    return {}


def _move_label(state: State, label: str, version: str | None) -> None:
    """Moves a label. The version that loses the label of the current version gets that of the previous one.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
    """
    former = next((one for one, labels in state.stages.items() if label in labels), None)
    if former == version:
        return
    for labels in state.stages.values():
        labels[:] = [one for one in labels if one != label and (label, one) != (_CURRENT, _PREVIOUS)]
    if former is not None and label == _CURRENT:
        state.stages[former].append(_PREVIOUS)
    if version is not None:
        state.stages.setdefault(version, []).append(label)


def _delete_secret(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    arn = parameters["SecretId"]
    changes.remove("secret", arn, lambda: _read_secret(changes, arn), recoveryDays=parameters.get("RecoveryWindowInDays"))
    return {"ARN": arn}


def _update_secret(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    _secret(changes, parameters["SecretId"]).settings["key"] = parameters["KmsKeyId"]
    return {}


def _put_resource_policy(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    _secret(changes, parameters["SecretId"]).policies[SECRET_POLICY] = json.loads(parameters["ResourcePolicy"])
    return {}


def _delete_resource_policy(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    _secret(changes, parameters["SecretId"]).policies.pop(SECRET_POLICY, None)
    return {}


def _find_secret(changes: PlannedChanges, secret: str) -> PlannedResource | None:
    """The secret with this ARN or name, if a call changes it."""
    secrets = (one for one in changes.resources if one.kind == "secret")
    return next((one for one in secrets if secret in (one.name, one.name.split(":", 6)[6][: -len(NEW_SUFFIX)])), None)


def _describe_secret(changes: PlannedChanges, parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
    found = _find_secret(changes, parameters["SecretId"])
    if found is None:
        return ask()
    arn = found.name
    if found.after is None:
        return {**ask(), "DeletedDate": datetime.now(UTC)}
    own = {"KmsKeyId": found.after.settings["key"], "VersionIdsToStages": found.after.stages}
    if found.before is not None:
        restored = {"DeletedDate": None} if "deletion" in found.after.settings else {}
        return {name: value for name, value in {**ask(), **own, **restored}.items() if value is not None}
    tags = [{"Key": name, "Value": value} for name, value in found.after.tags.items()]
    return {"ARN": arn, "Name": arn.split(":", 6)[6].removesuffix(NEW_SUFFIX), "Tags": tags, **own}


def _list_secrets(changes: PlannedChanges, _parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
    """The secrets as they are after the calls. New ones are left out, as ListSecrets can do."""
    found = ask()
    return {**found, "SecretList": [_listed(changes, entry) for entry in found["SecretList"]]}


def _listed(changes: PlannedChanges, entry: Mapping[str, Any]) -> _Answer:
    changed = changes.find("secret", entry["ARN"])
    if changed is None:
        return dict(entry)
    if changed.after is None:
        return {**entry, "DeletedDate": datetime.now(UTC)}
    restored = {"DeletedDate": None} if "deletion" in changed.after.settings else {}
    listed = {**entry, "KmsKeyId": changed.after.settings["key"], **restored}
    return {name: value for name, value in listed.items() if value is not None}


def _list_versions(changes: PlannedChanges, parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
    """When a secret moves to another key, its versions with a label get a copy under that key.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_update-encryption-key.html
    """
    found = _find_secret(changes, parameters["SecretId"])
    if found is None or found.after is None:
        return ask()
    key, stages = found.after.settings["key"], found.after.stages
    keys = {"KmsKeyIds": [key]} if key else {}
    labeled = [{"VersionId": one, "VersionStages": labels, **keys} for one, labels in stages.items() if labels]
    if found.before is None:
        return {"Versions": labeled}
    answer = ask()
    others = [one for one in answer.get("Versions", []) if not stages.get(one["VersionId"])]
    return {**answer, "Versions": [*(labeled if "NextToken" not in parameters else []), *others]}


def _get_resource_policy(changes: PlannedChanges, parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
    found = _find_secret(changes, parameters["SecretId"])
    if found is None or found.after is None:
        return ask()
    document = found.after.policies.get(SECRET_POLICY)
    return {"ResourcePolicy": json.dumps(document)} if document else {}


# ---------------------------------------------------------------- roles


def _create_role(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    name = parameters["RoleName"]
    arn, trust = changes.place.arn("iam", f"role/{name}", region=""), json.loads(parameters["AssumeRolePolicyDocument"])
    tags = {tag["Key"]: tag["Value"] for tag in parameters.get("Tags", [])}
    settings = {"description": parameters["Description"], "boundary": parameters["PermissionsBoundary"]}
    changes.create("role", arn, State(settings, {TRUST_POLICY: trust}, tags))
    return {"Role": {"Arn": arn, "CreateDate": datetime.now(UTC)}}


def _role(changes: PlannedChanges, name: str) -> State:
    arn = changes.place.arn("iam", f"role/{name}", region="")
    return changes.change("role", arn, lambda: _read_role(changes, name))


def _read_role(changes: PlannedChanges, name: str) -> State:
    iam = changes.real.iam
    found: Any = iam.get_role(RoleName=name)["Role"]
    boundary = found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
    documents = {TRUST_POLICY: found["AssumeRolePolicyDocument"]}
    pages = read_pages(iam.list_role_policies, RoleName=name)
    for policy in (policy for page in pages for policy in page["PolicyNames"]):
        read: Any = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        documents[policy] = read
    return State({"boundary": boundary}, documents, tags)


def _delete_role_policy(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    _role(changes, parameters["RoleName"]).policies.pop(parameters["PolicyName"], None)
    return {}


def _delete_role(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    name = parameters["RoleName"]
    changes.remove("role", changes.place.arn("iam", f"role/{name}", region=""), lambda: _read_role(changes, name))
    return {}


def _put_role_policy(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    document = json.loads(parameters["PolicyDocument"])
    _role(changes, parameters["RoleName"]).policies[parameters["PolicyName"]] = document
    return {}


def _update_trust(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    _role(changes, parameters["RoleName"]).policies[TRUST_POLICY] = json.loads(parameters["PolicyDocument"])
    return {}


def _put_boundary(changes: PlannedChanges, parameters: Mapping[str, Any]) -> _Answer:
    _role(changes, parameters["RoleName"]).settings["boundary"] = parameters["PermissionsBoundary"]
    return {}


def _get_role(changes: PlannedChanges, parameters: Mapping[str, Any], ask: Callable[[], Any]) -> Any:
    arn = changes.place.arn("iam", f"role/{parameters['RoleName']}", region="")
    if changes.removed("role", arn):
        raise _missing("GetRole", "NoSuchEntity")
    return {"Role": {"Arn": arn, "CreateDate": datetime.now(UTC)}} if changes.created("role", arn) else ask()


def _missing(operation: str, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 404}}, operation)  # type: ignore[typeddict-item]


_EFFECTS: Final[Mapping[tuple[str, str], _Effect]] = {
    ("iam", "CreateRole"): _create_role,
    ("iam", "DeleteRole"): _delete_role,
    ("iam", "DeleteRolePolicy"): _delete_role_policy,
    ("iam", "PutRolePermissionsBoundary"): _put_boundary,
    ("iam", "PutRolePolicy"): _put_role_policy,
    ("iam", "UpdateAssumeRolePolicy"): _update_trust,
    ("kms", "CreateAlias"): _create_alias,
    ("kms", "CreateKey"): _create_key,
    ("kms", "DeleteAlias"): _delete_alias,
    ("kms", "EnableKeyRotation"): _enable_rotation,
    ("kms", "PutKeyPolicy"): _put_key_policy,
    ("kms", "RevokeGrant"): _revoke_grant,
    ("kms", "ScheduleKeyDeletion"): _schedule_key_deletion,
    ("secretsmanager", "CreateSecret"): _create_secret,
    ("secretsmanager", "DeleteResourcePolicy"): _delete_resource_policy,
    ("secretsmanager", "DeleteSecret"): _delete_secret,
    ("secretsmanager", "PutResourcePolicy"): _put_resource_policy,
    ("secretsmanager", "PutSecretValue"): _put_secret_value,
    ("secretsmanager", "RestoreSecret"): _restore_secret,
    ("secretsmanager", "UpdateSecret"): _update_secret,
    ("secretsmanager", "UpdateSecretVersionStage"): _move_stage,
}
_OVERLAYS: Final[Mapping[tuple[str, str], _Overlay]] = {
    ("iam", "GetRole"): _get_role,
    ("kms", "DescribeKey"): _describe_key,
    ("kms", "GetKeyPolicy"): _get_key_policy,
    ("kms", "GetKeyRotationStatus"): _rotation_status,
    ("kms", "ListAliases"): _list_aliases,
    ("kms", "ListGrants"): _list_grants,
    ("kms", "ListResourceTags"): _key_tags,
    ("secretsmanager", "DescribeSecret"): _describe_secret,
    ("secretsmanager", "GetResourcePolicy"): _get_resource_policy,
    ("secretsmanager", "ListSecrets"): _list_secrets,
    ("secretsmanager", "ListSecretVersionIds"): _list_versions,
}
