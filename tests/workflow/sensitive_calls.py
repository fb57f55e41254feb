"""Every call by which a role could do harm, and whether a role is allowed to make it."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from tests.workflow.consumer_resources import ConsumerResource
from tests.workflow.owned_resources import (
    CODE,
    CONSENT,
    INLINE,
    MANAGED,
    OWNERS,
    READER,
    REJECTED,
    SECRET_CONTEXT,
    TRUST,
    OwnedResources,
    kms_tags,
    tag_list,
    unique,
)
from tests.workflow.roles import Role

Call = Callable[[Role, OwnedResources], object]
_NO_CONSENT = ("own", "foreign")  # for resources that have no tags
_HTTP = {"BaseUrl": "https://origin.example.com/moved"}
# The tags of new resources in the columns of the table.
_NEW_TAGS: dict[str, dict[str, str]] = {"own": MANAGED, "consented": MANAGED | CONSENT, "foreign": {}}


@dataclass(frozen=True)
class SensitiveCall:
    """One row of the matrix. `owners` are those who can have the resource of the call."""

    action: str
    detail: str
    call: Call
    owners: tuple[str, ...] = OWNERS
    refusal: str = "AccessDenied"  # the error code of a denial
    is_made: bool = True  # False: only IAM's simulator is called, which ignores resource policies

    @property
    def service(self) -> str:
        return self.action.partition(":")[0]

    @property
    def label(self) -> str:
        return f"`{self.action}` {self.detail}".strip()

    def is_allowed(self, role: Role, at: OwnedResources) -> bool:
        """Makes the call. Any error other than a denial is a mistake in this table."""
        try:
            answer = self.call(role, at)
        except ClientError as error:
            if not re.match(f"{self.refusal}|AccessDenied", error.response["Error"]["Code"]):
                raise
            return False
        return answer is not False


def _kms(operation: str, detail: str, **members: Callable[[OwnedResources], Any]) -> SensitiveCall:
    return _simple("kms", operation, detail, {"KeyId": lambda at: at.key} | members)


def _secret(operation: str, detail: str, **members: Callable[[OwnedResources], Any]) -> SensitiveCall:
    return _simple("secretsmanager", operation, detail, {"SecretId": lambda at: at.secret} | members)


def _simple(
    service: str,
    operation: str,
    detail: str,
    members: dict[str, Callable[[OwnedResources], Any]],
    owners: tuple[str, ...] = OWNERS,
) -> SensitiveCall:
    """Returns a call whose members depend on the owner of its resource."""
    method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()

    def call(role: Role, at: OwnedResources) -> object:
        given = {name: value(at) for name, value in members.items()}
        return getattr(role.client(service), method)(**given)

    return SensitiveCall(f"{_PREFIXES.get(service, service)}:{operation}", detail, call, owners)


def _asked(action: str, detail: str, resource: Callable[[OwnedResources], str], **context: str) -> SensitiveCall:
    """Returns an action that belongs to no single call or that MiniStack 1.5.33 does not implement."""
    return SensitiveCall(action, detail, lambda role, at: at.simulates(role, action, resource(at), context), is_made=False)


_PREFIXES = {"stepfunctions": "states"}


def _keys() -> Iterator[SensitiveCall]:
    yield _simple("kms", "CreateKey", "tagged as the column says", {"Tags": lambda at: kms_tags(_NEW_TAGS[at.owner])})
    yield _kms("TagResource", "as Latchkey's", Tags=lambda at: kms_tags(MANAGED))
    yield _kms("TagResource", "with consent", Tags=lambda at: kms_tags(CONSENT))
    yield _kms("TagResource", "as Latchkey's, with consent", Tags=lambda at: kms_tags(MANAGED | CONSENT))
    yield _kms("UntagResource", "of both tags", TagKeys=lambda at: [*MANAGED, *CONSENT])
    yield _kms("PutKeyPolicy", "", PolicyName=lambda at: "default", Policy=lambda at: json.dumps(at.key_policy))
    yield _kms("CreateGrant", "directly", GranteePrincipal=lambda at: at.role.arn, Operations=lambda at: ["Decrypt"])
    yield _kms("RevokeGrant", "", GrantId=lambda at: at.grant)
    yield _kms("RetireGrant", "", GrantId=lambda at: at.grant)
    yield _kms("EnableKeyRotation", "")
    yield _kms("DisableKeyRotation", "")
    yield _kms("DisableKey", "")
    # KMS rejects fewer than 7 days for every caller.
    yield replace(_kms("ScheduleKeyDeletion", "in 6 days", PendingWindowInDays=lambda at: 6), refusal="ValidationException")
    yield _kms("ScheduleKeyDeletion", "in 7 days", PendingWindowInDays=lambda at: 7)
    yield _kms("ScheduleKeyDeletion", "in 30 days", PendingWindowInDays=lambda at: 30)
    yield _kms("CancelKeyDeletion", "", KeyId=lambda at: at.dying_key)
    alias: dict[str, Callable[[OwnedResources], Any]] = {"AliasName": lambda at: at.alias}
    made = {"AliasName": lambda at: f"alias/{unique('matrix')}", "TargetKeyId": lambda at: at.key}
    yield _simple("kms", "CreateAlias", "", made)
    yield _simple("kms", "UpdateAlias", "", alias | {"TargetKeyId": lambda at: at.other_key})
    yield _simple("kms", "DeleteAlias", "", alias)
    secret = {"CiphertextBlob": lambda at: at.encrypted(SECRET_CONTEXT), "EncryptionContext": lambda at: SECRET_CONTEXT}
    other: dict[str, Callable[[OwnedResources], Any]] = {"CiphertextBlob": lambda at: at.encrypted({})}
    yield _kms("Decrypt", "directly, of a secret's value", **secret)
    yield _kms("Decrypt", "directly, of other data", **other)
    yield _asked("kms:ReEncryptFrom", "directly", lambda at: at.key)
    yield _asked("kms:ReEncryptTo", "directly", lambda at: at.key)
    yield _kms("GenerateDataKey", "directly", KeySpec=lambda at: "AES_256")


def _secrets() -> Iterator[SensitiveCall]:
    yield _simple(
        "secretsmanager",
        "CreateSecret",
        "under `SecretPrefix`, tagged as the column says",
        {
            "Name": lambda at: unique("latchkey/matrix"),
            "SecretString": lambda at: "{}",
            "Tags": lambda at: tag_list(_NEW_TAGS[at.owner]),
        },
    )
    elsewhere = {"Name": lambda at: unique("strangers/matrix"), "SecretString": lambda at: "{}"}
    yield _simple(
        "secretsmanager",
        "CreateSecret",
        "elsewhere, tagged as the column says",
        elsewhere | {"Tags": lambda at: tag_list(_NEW_TAGS[at.owner])},
    )
    yield _secret("TagResource", "as Latchkey's", Tags=lambda at: tag_list(MANAGED))
    yield _secret("TagResource", "with consent", Tags=lambda at: tag_list(CONSENT))
    yield _secret("TagResource", "as Latchkey's, with consent", Tags=lambda at: tag_list(MANAGED | CONSENT))
    yield _secret("UntagResource", "of both tags", TagKeys=lambda at: [*MANAGED, *CONSENT])
    yield _secret("GetSecretValue", "directly")
    yield SensitiveCall("secretsmanager:BatchGetSecretValue", "directly", _batched)
    yield _secret("PutSecretValue", "", SecretString=lambda at: "{}")
    yield _secret("UpdateSecret", "of its key", KmsKeyId=lambda at: at.key)
    yield _secret("UpdateSecret", "of its value", SecretString=lambda at: "{}")
    yield _secret("PutResourcePolicy", "guarded", ResourcePolicy=_secret_policy, BlockPublicPolicy=lambda at: True)
    yield _secret("PutResourcePolicy", "unguarded", ResourcePolicy=_secret_policy)
    yield _secret("DeleteResourcePolicy", "")
    yield _secret("DeleteSecret", "with recovery")
    yield _secret("DeleteSecret", "without recovery", ForceDeleteWithoutRecovery=lambda at: True)
    yield _secret("RestoreSecret", "", SecretId=lambda at: at.dying_secret)
    yield _secret("ReplicateSecretToRegions", "", AddReplicaRegions=lambda at: [{"Region": "eu-west-1"}])


def _batched(role: Role, at: OwnedResources) -> bool:
    """The call itself reads nothing: secrets that the caller cannot read are returned as errors."""
    return bool(role.client("secretsmanager").batch_get_secret_value(SecretIdList=[at.secret])["SecretValues"])


def _secret_policy(at: OwnedResources) -> str:
    return json.dumps(at.secret_policy)


def _locations() -> Iterator[SensitiveCall]:
    arn: dict[str, Callable[[OwnedResources], Any]] = {"ResourceArn": lambda at: at.location}
    name: dict[str, Callable[[OwnedResources], Any]] = {"SourceLocationName": lambda at: at.location_name}
    http: dict[str, Callable[[OwnedResources], Any]] = {"HttpConfiguration": lambda at: _HTTP}
    made = {"SourceLocationName": lambda at: unique("matrix"), "Tags": lambda at: _NEW_TAGS[at.owner]} | http
    yield _simple("mediatailor", "CreateSourceLocation", "tagged as the column says", made)
    for detail, tags in (
        ("as Latchkey's", MANAGED),
        ("with consent", CONSENT),
        ("as Latchkey's, with consent", MANAGED | CONSENT),
    ):
        yield _simple("mediatailor", "TagResource", detail, arn | {"Tags": lambda at, tags=tags: tags})
    yield _simple("mediatailor", "UntagResource", "of both tags", arn | {"TagKeys": lambda at: [*MANAGED, *CONSENT]})
    yield _simple("mediatailor", "UpdateSourceLocation", "", name | http)
    yield _simple("mediatailor", "DeleteSourceLocation", "", name)


def _events_and_executions() -> Iterator[SensitiveCall]:
    for source in ("latchkey", "latchkey.requests"):

        def entries(at: OwnedResources, source: str = source) -> list[dict[str, str]]:
            return [{"EventBusName": at.bus, "Source": source, "DetailType": "Test", "Detail": "{}"}]

        yield _simple("events", "PutEvents", f"as `{source}`", {"Entries": entries}, _NO_CONSENT)
    started = {"stateMachineArn": lambda at: at.machine, "input": lambda at: REJECTED}
    yield _simple("stepfunctions", "StartExecution", "", started, _NO_CONSENT)
    yield _simple("stepfunctions", "StopExecution", "", {"executionArn": lambda at: at.execution}, _NO_CONSENT)
    function: dict[str, Callable[[OwnedResources], Any]] = {"FunctionName": lambda at: at.function}
    invoked = {"InvocationType": lambda at: "DryRun"}
    invoking = _simple("lambda", "Invoke", "", function | invoked, _NO_CONSENT)
    yield replace(invoking, action="lambda:InvokeFunction")
    code = {"ZipFile": lambda at: CODE, "DryRun": lambda at: True}
    yield _simple("lambda", "UpdateFunctionCode", "", function | code, _NO_CONSENT)


def _items() -> Iterator[SensitiveCall]:
    for kind in ("request", "access", "resource", "lease", "notice", "journal", "sweep"):

        def item(at: OwnedResources, kind: str = kind) -> dict[str, Any]:
            return {"kind": {"S": kind}, "id": {"S": "matrix"}}

        for operation, member in (("PutItem", "Item"), ("UpdateItem", "Key"), ("DeleteItem", "Key")):
            members = {"TableName": lambda at: at.table, member: item}
            yield _simple("dynamodb", operation, f"of kind *{kind}*", members, _NO_CONSENT)
    of_accesses = [("access", attribute) for attribute in ("wanted", "pending", "keyArn", "tenant")]
    for kind, attribute in (*of_accesses, ("request", "outcome"), ("request", "executionArn")):

        def setting(_: OwnedResources, attribute: str = attribute) -> str:
            return f"SET {attribute} = :value"

        def key(_: OwnedResources, kind: str = kind) -> dict[str, Any]:
            return {"kind": {"S": kind}, "id": {"S": "matrix"}}

        named = {
            "TableName": lambda at: at.table,
            "Key": key,
            "UpdateExpression": setting,
            "ExpressionAttributeValues": lambda at: {":value": {"S": "{}"}},
        }
        yield _simple("dynamodb", "UpdateItem", f"of `{attribute}` in kind *{kind}*", named, _NO_CONSENT)


def _set_by_a_request() -> Iterator[SensitiveCall]:
    """Calls that configure a secret and a role on a resource. Latchkey does not create or tag these resources."""
    asked = ("consented", "foreign")

    def setter(consumer: str, operation: str, **members: Callable[[ConsumerResource], Any]) -> SensitiveCall:
        def of(value: Callable[[ConsumerResource], Any]) -> Callable[[OwnedResources], Any]:
            return lambda at: value(at.consumer(consumer))

        service = "mediaconnect" if operation.startswith("UpdateFlow") else consumer
        given = {name: of(value) for name, value in members.items()}
        return _simple(service, operation, "", given, asked)

    named: dict[str, Callable[[ConsumerResource], Any]] = {
        "ChannelGroupName": lambda consumer: consumer.resource["channelGroup"],
        "ChannelName": lambda consumer: consumer.resource["channel"],
        "OriginEndpointName": lambda consumer: consumer.resource["originEndpoint"],
    }
    yield setter("mediapackage", "UpdateOriginEndpoint", Id=lambda consumer: consumer.name)
    yield setter("mediapackage-vod", "UpdatePackagingGroup", Id=lambda consumer: consumer.name)
    yield setter("mediapackagev2", "PutOriginEndpointPolicy", **named, Policy=lambda c: json.dumps(c.settings()["Policy"]))
    yield setter("mediapackagev2", "DeleteOriginEndpointPolicy", **named)
    for part in ("Source", "Output", "Entitlement"):
        own = f"{part}Arn"

        def flow(consumer: ConsumerResource) -> object:
            return consumer.resource["flowArn"]

        def arn(consumer: ConsumerResource, own: str = own) -> object:
            return consumer.settings()[own]

        yield setter(f"mediaconnect-{part.lower()}", f"UpdateFlow{part}", FlowArn=flow, **{own: arn})


_DOCUMENT = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}]}
)
_ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def _boundary(name: str) -> Callable[[OwnedResources], str]:
    return lambda at: at.boundary(name)


def _new_roles() -> Iterator[SensitiveCall]:
    for stem, boundary, detail in (
        (READER, "ReaderBoundary", "under our names with `ReaderBoundary`"),
        (READER, _ADMINISTRATOR, "under our names with another boundary"),
        (READER, "", "under our names without a boundary"),
        ("theirs", "ReaderBoundary", "elsewhere with `ReaderBoundary`"),
    ):
        yield _new_role(stem, boundary, f"{detail}, tagged as the column says")


def _new_role(stem: str, boundary: str, detail: str) -> SensitiveCall:
    made: dict[str, Callable[[OwnedResources], Any]] = {
        "RoleName": lambda at: unique(stem),
        "AssumeRolePolicyDocument": lambda at: TRUST,
        "Tags": lambda at: tag_list(_NEW_TAGS[at.owner]),
    }
    bounded = {"PermissionsBoundary": _boundary(boundary)} if boundary else {}
    return _simple("iam", "CreateRole", detail, made | bounded)


def _identities(
    whose: str, of: Callable[[OwnedResources], Role], idle: Callable[[OwnedResources], Role]
) -> Iterator[SensitiveCall]:
    """Calls on a role. `idle` is a role without policies."""

    def iam(operation: str, detail: str = "", **members: Callable[[OwnedResources], Any]) -> SensitiveCall:
        name: dict[str, Callable[[OwnedResources], Any]] = {"RoleName": lambda at: of(at).role_name}
        return _simple("iam", operation, f"of {whose} role {detail}".strip(), name | members, _NO_CONSENT)

    yield iam("PutRolePolicy", PolicyName=lambda at: "matrix", PolicyDocument=lambda at: _DOCUMENT)
    yield iam("DeleteRolePolicy", PolicyName=lambda at: INLINE)
    yield iam("AttachRolePolicy", PolicyArn=lambda at: _ADMINISTRATOR)
    yield iam("UpdateAssumeRolePolicy", PolicyDocument=lambda at: TRUST)
    for boundary, detail in (("ReaderBoundary", "to `ReaderBoundary`"), (_ADMINISTRATOR, "to another")):
        yield iam("PutRolePermissionsBoundary", detail, PermissionsBoundary=_boundary(boundary))
    yield iam("DeleteRolePermissionsBoundary")
    yield iam("TagRole", "as Latchkey's", Tags=lambda at: tag_list(MANAGED))
    yield iam("TagRole", "with consent", Tags=lambda at: tag_list(MANAGED | CONSENT))
    yield iam("UntagRole", TagKeys=lambda at: [*MANAGED])
    yield iam("DeleteRole", RoleName=lambda at: idle(at).role_name)
    asked = {"PolicySourceArn": lambda at: of(at).arn, "ActionNames": lambda at: ["kms:Decrypt"]}
    yield _simple("iam", "SimulatePrincipalPolicy", f"of {whose} role", asked, _NO_CONSENT)
    for service in ("mediapackage", "lambda"):
        context = {"iam:PassedToService": f"{service}.amazonaws.com"}
        passed = _asked("iam:PassRole", f"of {whose} role to `{service}`", lambda at: of(at).arn, **context)
        yield replace(passed, owners=_NO_CONSENT)
    assumed = {"RoleArn": lambda at: of(at).arn, "RoleSessionName": lambda at: "matrix"}
    yield _simple("sts", "AssumeRole", f"of {whose} role", assumed, _NO_CONSENT)


CALLS: tuple[SensitiveCall, ...] = (
    *_keys(),
    *_secrets(),
    *_locations(),
    *_events_and_executions(),
    *_items(),
    *_set_by_a_request(),
    *_new_roles(),
    *_identities("a function's", lambda at: at.role, lambda at: at.role),
    *_identities("a reader's", lambda at: at.reader, lambda at: at.idle_reader),
)
