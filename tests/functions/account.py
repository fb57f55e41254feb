"""The moto account of one test: its resources, and a snapshot of everything in it."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
from boto3.dynamodb.types import TypeSerializer
from moto.core import DEFAULT_ACCOUNT_ID

from latchkey.errors import InvalidRequest
from latchkey.requests.parsing import parse_onboarding
from tests import dynamodb
from tests.functions.media_services import MediaConnect, MediaPackage, MediaPackageV2, MediaPackageVod, Simulator, serve
from tests.functions.media_tailor import MediaTailor

ACCOUNT: str = DEFAULT_ACCOUNT_ID
REGION = "us-east-1"
TABLE, BUS = "latchkey-accesses", "latchkey-requests"
AUDIT_TABLE, DATA_BUCKET = "latchkey-audit", "latchkey-data"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
CONFIGURE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/latchkey-ConfigureAccessFunctionRole"
OWN_ROLES = ",".join(f"arn:aws:iam::{ACCOUNT}:role/latchkey-{name}" for name in ("AttachPolicies", "UndoOnboarding"))
ADOPT, IMPORT, OURS = {"latchkey:consent": "adopt"}, {"latchkey:consent": "import"}, {"latchkey:managed-by": "latchkey"}
# The tags of a secret that was created for the source location `sports-origin`.
OWN = OURS | {"latchkey:access": "mediatailor/sourceLocation/sports-origin"}
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@cache
def client(service: str, region: str = REGION) -> Any:
    """One client for all tests, because loading a service model is slow. moto starts each test with an empty account."""
    made: Any = boto3.client
    return made(service, region_name=region)


class Account:
    """The resources of the account. The media services and the IAM policy simulator are models of this test suite."""

    def __init__(self) -> None:
        self.kms = client("kms")
        self.secretsmanager = client("secretsmanager")
        self.dynamodb = dynamodb.client()
        self.iam = client("iam")
        self.mediatailor = MediaTailor(ACCOUNT)
        self.mediapackage, self.mediapackage_vod = MediaPackage(), MediaPackageVod()
        self.mediapackagev2, self.mediaconnect, self.simulator = MediaPackageV2(), MediaConnect(), Simulator()

    def build(self) -> None:
        """Creates the registry table with the keys of the template."""
        dynamodb.create_only_table(TABLE)

    def open_bus(self) -> None:
        """Creates the request bus, and a queue that receives every event on it."""
        sqs, events = client("sqs"), client("events")
        self.queue = sqs.create_queue(QueueName="seen")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.create_event_bus(Name=BUS)
        events.put_rule(Name="all", EventBusName=BUS, EventPattern=json.dumps({"account": [ACCOUNT]}))
        events.put_targets(Rule="all", EventBusName=BUS, Targets=[{"Id": "queue", "Arn": arn}])

    def role(self, name: str, path: str = "/", tags: dict[str, str] | None = None) -> str:
        given = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        made = self.iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=TRUST, Tags=given)
        arn: str = made["Role"]["Arn"]
        return arn

    def key(self, tags: dict[str, str] | None = None, alias: str | None = None, **settings: Any) -> str:
        """Creates a key with rotation and, by default, with the tag of Latchkey; the registry has it if it has an alias."""
        given = [{"TagKey": key, "TagValue": value} for key, value in (OURS if tags is None else tags).items()]
        settings = {"KeyUsage": "ENCRYPT_DECRYPT"} | settings
        arn: str = self.kms.create_key(Tags=given, **settings)["KeyMetadata"]["Arn"]
        if "KeySpec" not in settings:
            self.kms.enable_key_rotation(KeyId=arn)
        if alias:
            self.kms.create_alias(AliasName=alias, TargetKeyId=arn)
        if alias and tags in (None, OURS):
            self.note("resource", alias, begunAt="2026-11-22T00:00:00+00:00", begunFor="request-0", keyArn=arn)
        return arn

    def note(self, kind: str, item_id: str, **attributes: str | set[str]) -> None:
        """Writes an item of the registry."""
        item = {"kind": kind, "id": item_id, **attributes}
        self.dynamodb.put_item(TableName=TABLE, Item={name: TypeSerializer().serialize(value) for name, value in item.items()})

    def secret(
        self, name: str, value: str, tags: dict[str, str] | None = None, region: str = REGION, key: str | None = None
    ) -> str:
        """Creates a secret of another owner, by default with consent, or one that the registry has for its access."""
        given = [{"Key": key, "Value": text} for key, text in (ADOPT if tags is None else tags).items()]
        under = {"KmsKeyId": key} if key else {}
        arn: str = client("secretsmanager", region).create_secret(Name=name, SecretString=value, Tags=given, **under)["ARN"]
        if access := (tags or {}).get("latchkey:access"):
            self.note("resource", f"secret {name}", accesses={access})
        return arn

    def value(self, secret: str) -> str:
        text: str = self.secretsmanager.get_secret_value(SecretId=secret)["SecretString"]
        return text

    def add_resources(self) -> None:
        """Creates the resources of the valid requests, except for the source location, which Latchkey can create."""
        self.mediapackage.add("live-hls", f"arn:aws:mediapackage:{REGION}:{ACCOUNT}:origin_endpoints/1")
        self.mediapackage_vod.add("films", f"arn:aws:mediapackage-vod:{REGION}:{ACCOUNT}:packaging-groups/films")
        self.mediapackagev2.add("sports/one/hls")
        self.mediaconnect.add("output", "studio", "zixi-push")

    def delete_resources(self) -> None:
        """Deletes the resources that `add_resources` created, as their owners can."""
        for held in (self.mediapackage.resources, self.mediapackage_vod.resources, self.mediaconnect.flows):
            held.clear()
        self.mediapackagev2.endpoints.clear()

    def grant(self, key: str, name: str, secret: str, grantee: str = "mediatailor.amazonaws.com") -> str:
        """Creates a grant as MediaTailor creates it."""
        made = self.kms.create_grant(
            KeyId=key,
            GranteePrincipal=grantee,
            Name=name,
            Operations=["Decrypt"],
            Constraints={"EncryptionContextSubset": {"SecretARN": secret}},
        )
        grant_id: str = made["GrantId"]
        return grant_id

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The items of a kind in the registry. One answer contains at most 1 MB."""
        of_kind = {"KeyConditionExpression": "kind = :kind", "ExpressionAttributeValues": {":kind": {"S": kind}}}
        pages = self.dynamodb.get_paginator("query").paginate(TableName=TABLE, **of_kind)
        return [item for page in pages for item in page["Items"]]

    def table(self) -> list[dict[str, Any]]:
        """All items of the registry."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=TABLE)
        return [item for page in pages for item in page["Items"]]

    @contextmanager
    def locked(self, request: dict[str, Any], execution_arn: str) -> Iterator[None]:
        """Lets an execution hold the lock of the access of a request meanwhile, if the request is valid."""
        try:
            key = {"kind": {"S": "access"}, "id": {"S": parse_onboarding(request, is_new=False).access_id}}
        except InvalidRequest:
            yield
            return
        before = self._item(key)
        self._update_lock(key, {"running": {"S": execution_arn}, "runningSince": {"N": str(int(time.time()))}})
        try:
            yield
        finally:
            self._update_lock(key, {name: before[name] for name in ("running", "runningSince") if name in before})
            if not before and self._item(key).keys() == key.keys():
                self.dynamodb.delete_item(TableName=TABLE, Key=key)

    def _item(self, key: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.dynamodb.get_item(TableName=TABLE, Key=key).get("Item", {})
        return found

    def _update_lock(self, key: dict[str, Any], lock: dict[str, Any]) -> None:
        """Sets the attributes of a lock, or removes them."""
        values = {"ExpressionAttributeValues": {f":{name}": value for name, value in lock.items()}} if lock else {}
        update = f"SET {', '.join(f'{name} = :{name}' for name in lock)}" if lock else "REMOVE running, runningSince"
        self.dynamodb.update_item(TableName=TABLE, Key=key, UpdateExpression=update, **values)

    def published(self) -> list[dict[str, Any]]:
        """The events on the bus since the last call."""
        messages = client("sqs").receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            client("sqs").delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]

    def snapshot(self, *, values: bool = True) -> dict[str, Any]:
        """Everything that a function can change; without secret values if `values` is False."""
        keys = [key["KeyArn"] for key in self.kms.list_keys()["Keys"]]
        secrets = [secret["ARN"] for secret in self.secretsmanager.list_secrets(IncludePlannedDeletion=True)["SecretList"]]
        return {
            "keys": {key: self._key(key) for key in keys},
            "aliases": [alias for alias in self.kms.list_aliases()["Aliases"] if "TargetKeyId" in alias],
            "secrets": {secret: self._secret(secret, values) for secret in secrets},
            "table": sorted(self.table(), key=json.dumps),
            "locations": json.loads(json.dumps(self.mediatailor.locations)),
            "resources": self.resources(),
            "roles": {role["RoleName"]: self.role_state(role["RoleName"]) for role in self.iam.list_roles()["Roles"]},
        }

    def resources(self) -> dict[str, Any]:
        """The settings in the media services other than MediaTailor."""
        held = {
            "endpoints": self.mediapackage.resources,
            "groups": self.mediapackage_vod.resources,
            "policies": {
                name: {**settings, "Policy": json.loads(settings["Policy"])}
                for name, settings in self.mediapackagev2.policies.items()
            },
            "flows": self.mediaconnect.flows,
        }
        return copy.deepcopy(held)

    def role_state(self, name: str) -> dict[str, Any]:
        """The trust policy, inline policies, boundary and tags of a role."""
        role = self.iam.get_role(RoleName=name)["Role"]
        inline = self.iam.list_role_policies(RoleName=name)["PolicyNames"]
        return {
            "trust": role["AssumeRolePolicyDocument"],
            "policies": {one: self.iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in inline},
            "boundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
            "tags": {tag["Key"]: tag["Value"] for tag in role.get("Tags", [])},
        }

    def _key(self, key: str) -> dict[str, Any]:
        return {
            "metadata": self.kms.describe_key(KeyId=key)["KeyMetadata"],
            "policy": self.kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"],
            "tags": self.kms.list_resource_tags(KeyId=key)["Tags"],
            "rotation": {k: v for k, v in self.kms.get_key_rotation_status(KeyId=key).items() if k != "ResponseMetadata"},
            "grants": self.kms.list_grants(KeyId=key)["Grants"],
        }

    def _secret(self, secret: str, values: bool) -> dict[str, Any]:
        described = self.secretsmanager.describe_secret(SecretId=secret)
        # Reading a secret sets LastAccessedDate.
        kept = {k: v for k, v in described.items() if k not in {"ResponseMetadata", "LastAccessedDate"}}
        policy = self.secretsmanager.get_resource_policy(SecretId=secret).get("ResourcePolicy")
        value = self.value(secret) if values and "DeletedDate" not in described else None
        return kept | {"policy": json.loads(policy or "null"), "value": value}


def serve_account(events: Any, current: Callable[[], Account]) -> None:
    """Connects the clients of the session with these events to the models of the current account."""
    events.register_first("before-send.mediatailor", lambda request, **_: current().mediatailor.answer(request))
    serve(events, "mediapackage", lambda: current().mediapackage)
    serve(events, "mediapackage-vod", lambda: current().mediapackage_vod)
    serve(events, "mediapackagev2", lambda: current().mediapackagev2)
    serve(events, "mediaconnect", lambda: current().mediaconnect)
    serve(events, "iam", lambda: current().simulator)
