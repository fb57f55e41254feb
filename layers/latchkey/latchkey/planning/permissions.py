"""The permissions that planned calls need, and those that are missing according to the IAM policy simulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from latchkey.access.desired import Desired
from latchkey.access.plan import MissingPermission
from latchkey.aws.planned import NEW_KEY_ID, NEW_SUFFIX, PlannedCall, PlannedChanges
from latchkey.aws.roles import denied_actions, refused_actions

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient

# The simulator requires complete ARNs.
_ANY_KEY_ID: Final = NEW_KEY_ID.replace("?", "0")
_ANY_SUFFIX: Final = NEW_SUFFIX.replace("?", "0")

# The calls that Secrets Manager makes with the permissions of its caller:
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html#security-encryption-authz
_ENCRYPTING: Final = ("kms:Decrypt", "kms:GenerateDataKey")

type Context = dict[str, str | bool | int]


@dataclass(frozen=True)
class Need:
    """Actions of one principal on one resource, and the keys of the request context that AWS would set."""

    principal: str
    actions: tuple[str, ...]
    resource: str
    context: Context = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class ConfiguredResource:
    """The consumer resource of the calls that are not about a key, a secret or a role, and the tags that limit them.

    `passedRole` is the role that its configuration passes to the service.
    """

    arn: str
    tags: Mapping[str, str]
    passed_role: str | None = None


def missing_permissions(needs: Iterator[Need], iam: IAMClient) -> Iterator[MissingPermission]:
    """The needed actions that the policies of a principal do not allow. Equal needs are simulated once."""
    seen: list[Need] = []
    for need in needs:
        if need in seen:
            continue
        seen.append(need)
        for action in refused_actions(iam, need.principal, need.actions, need.resource, need.context):
            yield MissingPermission(principal=need.principal, action=action, resource=need.resource)


def needs_of_calls(
    changes: PlannedChanges, configured: ConfiguredResource | None, others: Mapping[str, ConfiguredResource] | None = None
) -> Iterator[Need]:
    """The permissions that the functions need for the planned calls. `others` are further resources by name."""
    for call in changes.calls:
        match call.service:
            case "kms":
                yield from _of_key(call, changes)
            case "secretsmanager":
                yield from _of_secret(call, changes)
            case "iam":
                yield from _of_role(call, changes)
            case _ if configured is not None:
                yield from _of_resource(call, (others or {}).get(changes.media_name(call), configured))


def denied_to_managers(
    desired: Desired, key_arn: str, secret_arn: str, own_role: str | None, iam: IAMClient
) -> Iterator[MissingPermission]:
    """The actions that are denied to the roles that configure the resource, although the policies of key and secret allow them.

    A statement that names a role allows it what its own policies do not deny. `own_role` is that of configure_access, if it
    configures the resource.
    """
    if desired.system.granted is None:
        return
    reader, configuration = desired.system.granted
    resource = desired.resource.arn(desired.place) or "*"
    managers = [arn for arn in desired.request.management_roles if arn.split(":")[4] == desired.place.account]
    for role in managers:
        for action in refused_actions(iam, role, (f"{configuration.service}:{configuration.renewal}",), resource):
            yield MissingPermission(principal=role, action=action, resource=resource)
    via: Context = {"kms:ViaService": reader.via_service(desired.place), "aws:ViaAWSService": True}
    for role in [*managers, *([own_role] if own_role else [])]:
        for actions, arn in (
            (("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"), _complete(secret_arn)),
            (("kms:CreateGrant",), _complete(key_arn)),
        ):
            for action in denied_actions(iam, role, actions, arn, via):
                yield MissingPermission(principal=role, action=action, resource=arn)


def _of_key(call: PlannedCall, changes: PlannedChanges) -> Iterator[Need]:
    given, action = call.parameters, f"kms:{call.operation}"
    if call.operation == "CreateKey":
        requested = {tag["TagKey"]: tag["TagValue"] for tag in given.get("Tags", [])}
        yield Need(call.role, (action, "kms:TagResource"), "*", _tags("Request", requested))
        return
    key_arn = given.get("TargetKeyId") or given.get("KeyId") or changes.alias_target(given["AliasName"])
    days = given.get("PendingWindowInDays")
    window: Context = {"kms:ScheduleKeyDeletionPendingWindowInDays": int(days)} if days else {}
    if key_arn is not None:
        yield Need(call.role, (action,), _complete(key_arn), _tags("Resource", changes.key_tags(key_arn)) | window)
    if "AliasName" in given:
        yield Need(call.role, (action,), changes.place.arn("kms", given["AliasName"]))


def _of_secret(call: PlannedCall, changes: PlannedChanges) -> Iterator[Need]:
    given, action = call.parameters, f"secretsmanager:{call.operation}"
    if call.operation == "CreateSecret":
        requested = {tag["Key"]: tag["Value"] for tag in given.get("Tags", [])}
        arn = changes.place.arn("secretsmanager", f"secret:{given['Name']}{_ANY_SUFFIX}")
        yield Need(call.role, (action, "secretsmanager:TagResource"), arn, _tags("Request", requested))
        yield from _encryption(call, given["KmsKeyId"], arn, changes)
        return
    found = changes.find("secret", given["SecretId"])
    context = _tags("Resource", found.tags if found else {})
    if "BlockPublicPolicy" in given:
        context["secretsmanager:BlockPublicPolicy"] = bool(given["BlockPublicPolicy"])
    if "RecoveryWindowInDays" in given:
        context["secretsmanager:RecoveryWindowInDays"] = int(given["RecoveryWindowInDays"])
    if "VersionStage" in given:
        context["secretsmanager:VersionStage"] = str(given["VersionStage"])
    yield Need(call.role, (action,), _complete(given["SecretId"]), context)
    if call.operation in ("PutSecretValue", "UpdateSecret"):
        key = found.after.settings.get("key") if found and found.after else None
        yield from _encryption(call, key, _complete(given["SecretId"]), changes)


def _encryption(call: PlannedCall, key: str | None, secret_arn: str, changes: PlannedChanges) -> Iterator[Need]:
    """The permissions that Secrets Manager requires of its caller to encrypt a value. The default key allows every caller."""
    if key is None or ":key/" not in key:
        return
    via: Context = {"kms:ViaService": f"secretsmanager.{changes.place.region}.amazonaws.com", "aws:ViaAWSService": True}
    yield Need(call.role, _ENCRYPTING, _complete(key), via | {"kms:EncryptionContext:SecretARN": secret_arn})


def _of_role(call: PlannedCall, changes: PlannedChanges) -> Iterator[Need]:
    given, action = call.parameters, f"iam:{call.operation}"
    arn = changes.place.arn("iam", f"role/{given['RoleName']}", region="")
    if call.operation == "CreateRole":
        requested = _tags("Request", {tag["Key"]: tag["Value"] for tag in given.get("Tags", [])})
        bounded: Context = {"iam:PermissionsBoundary": given["PermissionsBoundary"]}
        yield Need(call.role, (action, "iam:TagRole"), arn, requested | bounded)
        return
    found = changes.find("role", arn)
    context = _tags("Resource", found.tags if found else {})
    state = found and (found.after or found.before)
    boundary = state.settings.get("boundary") if state else None
    yield Need(call.role, (action,), arn, context | ({"iam:PermissionsBoundary": boundary} if boundary else {}))


def _of_resource(call: PlannedCall, configured: ConfiguredResource) -> Iterator[Need]:
    action, requested = f"{call.service}:{call.operation}", call.parameters.get("Tags")
    if requested is not None:
        yield Need(call.role, (action,), "*", _tags("Request", requested))
        yield Need(call.role, (f"{call.service}:TagResource",), configured.arn, _tags("Request", requested))
    else:
        yield Need(call.role, (action,), configured.arn, _tags("Resource", configured.tags))
    if configured.passed_role:
        passed: Context = {"iam:PassedToService": f"{call.service}.amazonaws.com"}
        yield Need(call.role, ("iam:PassRole",), configured.passed_role, passed)


def _tags(whose: str, tags: Mapping[str, Any]) -> Context:
    return {f"aws:{whose}Tag/{name}": value for name, value in tags.items()}


def _complete(arn: str) -> str:
    """The ARN of a resource that does not exist yet, with any characters where AWS chooses them."""
    return arn.replace(NEW_KEY_ID, _ANY_KEY_ID).replace(NEW_SUFFIX, _ANY_SUFFIX)
