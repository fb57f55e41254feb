"""Authentication and authorization: identity policies, resource policies and KMS grants combined as AWS combines them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_evaluator as evaluator
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.core.router import extract_access_key_id
from ministack.services import iam, kms, sts
from ministack.services import tagging as tag_store

_ALLOW_ALL = [evaluator.parse_policy_document({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})]
_CONTEXT_PREFIX = "kms:encryptioncontext:"


@dataclass(frozen=True)
class Caller:
    """The principal of a request. `arn` is the ARN of a root user, a user or a role session."""

    arn: str
    account: str
    access_key: str


@dataclass(frozen=True)
class ServiceSession:
    """A role session of a service, with credentials for signed calls."""

    caller: Caller
    secret_key: str
    session_token: str


class UnknownCallerError(Exception):
    """A request without usable credentials. `code` is the error code that AWS returns."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def caller_of(headers: Mapping[str, str]) -> Caller:
    """Returns the caller in the Authorization header. Raises UnknownCallerError for an unknown, inactive or expired key.

    The signature is not verified: callers of the emulated services run on the same machine.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    key = str(extract_access_key_id(lower))
    if not key:
        raise UnknownCallerError("MissingAuthenticationTokenException", "Request is missing Authentication Token")
    account = _account_of(key)
    found = evaluator.resolve_credential(key, account, lower.get("x-amz-security-token"))
    if isinstance(found, evaluator.CredentialResolutionError):
        raise UnknownCallerError(found.code, found.message)
    return Caller(arn=found.principal_arn, account=found.account_id, access_key=key)


def allows(caller: Caller, action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Returns whether AWS would allow `caller` the `action` (`kms:Decrypt`) on the ARN `resource` within one account.

    Evaluates identity policies with permissions boundary and session policies, and the resource policy. A KMS key policy
    must allow the caller or delegate to the account. An explicit Deny always wins. Without one, a grant is sufficient for
    a KMS action. `context` has the condition keys of the request: `aws:ViaAWSService` and `kms:ViaService` for a call that
    a service makes on behalf of the caller, `kms:EncryptionContext:<key>` for an encryption context.
    """
    account, region = _scope_of(resource, caller.account)
    with request_scope(caller.account, region):
        principal = evaluator.resolve_principal(caller.access_key, caller.account)
    if isinstance(principal, evaluator.AuthError):
        return False
    policies = _ALLOW_ALL if principal.policies is None else principal.policies
    with request_scope(account, region):
        found = _resource_policy(resource)
        ctx = evaluator.EvalContext(
            principal_arn=principal.arn,
            principal_type=principal.type,
            principal_account=principal.account,
            action=action,
            resource_arn=resource,
            region=region,
            service_context=_service_context(caller.account, resource, context),
            principal_keys=principal.keys,
        )
        result = evaluator.evaluate(ctx, policies, *principal.limits)
        if found is not None:
            required = resource.split(":")[2] == "kms"
            limits = tuple(principal.limits)
            result = evaluator.combine_resource_policy(result, ctx, *found, required=required, limits=limits)
    if result.decision != "ImplicitDeny":
        return bool(result.decision == "Allow")
    return grant_allows(caller.arn, action, resource, context)


def could_put_key_policy(
    caller: Caller, document: dict[str, Any], context: Mapping[str, str], *, ignored: tuple[str, ...]
) -> bool:
    """Returns whether `caller` could change a key policy that has been replaced by `document`.

    Identity policies with a condition on a key that begins with one of `ignored` do not count.
    """
    with request_scope(caller.account, get_region()):
        principal = evaluator.resolve_principal(caller.access_key, caller.account)
    if isinstance(principal, evaluator.AuthError):
        return False
    own = _ALLOW_ALL if principal.policies is None else principal.policies
    counted = [[statement for statement in layer if not _depends_on(statement, ignored)] for layer in own]
    ctx = evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action="kms:PutKeyPolicy",
        resource_arn=f"arn:aws:kms:{get_region()}:{get_account_id()}:key/this",
        region=get_region(),
        service_context={"aws:viaawsservice": "false"} | {name.lower(): value for name, value in context.items()},
        principal_keys=principal.keys,
    )
    limits = tuple(principal.limits)
    identity = evaluator.evaluate(ctx, counted, *limits)
    found = evaluator.combine_resource_policy(identity, ctx, document, get_account_id(), required=True, limits=limits)
    return bool(found.decision == "Allow")


def _depends_on(statement: Any, keys: tuple[str, ...]) -> bool:
    named = [key.lower() for block in statement.conditions.values() for key in block]
    return any(key.startswith(keys) for key in named)


def service_allows(service: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Returns whether the service principal `service` (`mediatailor.amazonaws.com`) is allowed `action` on `resource`.

    Evaluates the resource policy and, for a KMS key, grants to the service.
    """
    account, region = _scope_of(resource, get_account_id())
    with request_scope(account, region):
        found = _resource_policy(resource)
        keys = {"aws:principalisawsservice": "true", "aws:principalservicename": service, "aws:viaawsservice": "false"}
        ctx = evaluator.EvalContext(
            principal_arn=service,
            principal_type="AWSService",
            principal_account="",
            action=action,
            resource_arn=resource,
            region=region,
            service_context=keys | _service_context(None, resource, context),
        )
        decision = evaluator.evaluate_resource_policy(found[0] if found else None, ctx, service=service).decision
    if decision != "ImplicitDeny":
        return bool(decision == "Allow")
    return grant_allows(service, action, resource, context)


def allows_anyone(action: str, resource: str, policy: str, context: Mapping[str, str]) -> bool:
    """Returns whether the resource policy allows `action` for an unsigned request."""
    ctx = evaluator.EvalContext(
        principal_arn="anonymous",
        principal_type="Anonymous",
        principal_account="",
        action=action,
        resource_arn=resource,
        region=resource.split(":")[3],
        service_context={name.lower(): value for name, value in context.items()},
    )
    return bool(evaluator.evaluate_resource_policy(policy, ctx).decision == "Allow")


def grant_allows(grantee: str, action: str, key_arn: str, context: Mapping[str, str]) -> bool:
    """Returns whether a grant on `key_arn` allows `grantee`, a principal ARN or service principal, the KMS `action`.

    Constraints are compared with the encryption context and `aws:SourceArn` in `context`. Callers are assumed to have the
    token of a new grant, so `grantLagSeconds` only delays when it is listed.
    """
    service, _, operation = action.partition(":")
    if service != "kms":
        return False
    lower = {name.lower(): value for name, value in context.items()}
    names = {grantee, role_arn_of(grantee)}
    account, region = _scope_of(key_arn, get_account_id())
    with request_scope(account, region):
        return any(
            operation in grant["Operations"]
            and {grant.get("GranteePrincipal"), grant.get("GranteeServicePrincipal")} & names
            and _constraints_hold(grant.get("Constraints") or {}, lower)
            for grant in kms._grants.values()
            if grant["KeyId"] == key_arn
        )


def assume_as_service(service: str, role_arn: str, session_name: str, context: Mapping[str, str]) -> ServiceSession:
    """Returns a session of a role for the service principal `service`. Raises PermissionError if the role does not trust it.

    `context` has `aws:SourceAccount` and `aws:SourceArn`. MiniStack 1.5.33 gap: STS has no service callers.
    """
    account = role_arn.split(":")[4]
    name = role_arn.rsplit("/", 1)[-1]
    role: dict[str, Any] | None = iam._roles.get_scoped(account, None, name)
    denied = f"{service} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
    if role is None or role["Arn"] != role_arn:
        raise PermissionError(denied)
    ctx = evaluator.EvalContext(
        principal_arn=service,
        principal_type="AWSService",
        principal_account="",
        action="sts:AssumeRole",
        resource_arn=role_arn,
        region=get_region(),
        service_context={key.lower(): value for key, value in context.items()},
    )
    # evaluate_trust_policy is not used: for the root user of an account, it matches every service principal.
    trust = evaluator.evaluate_resource_policy(role["AssumeRolePolicyDocument"], ctx, service=service)
    if trust.decision != "Allow":
        raise PermissionError(denied)
    access_key, secret_key, token = iam._gen_session_access_key(), iam._gen_secret(), iam._gen_session_token()
    arn = f"arn:aws:sts::{account}:assumed-role/{name}/{session_name}"
    session = {
        "Arn": arn,
        "UserId": f"{role['RoleId']}:{session_name}",
        "SecretAccessKey": secret_key,
        "SessionToken": token,
        "Expiration": time.time() + 3600,
        "AccountId": account,
        "PrincipalType": "AssumedRole",
    }
    sts.register_session(access_key, session)
    return ServiceSession(Caller(arn, account, access_key), secret_key, token)


def role_arn_of(principal_arn: str) -> str:
    """Returns the ARN of the role of an assumed-role session, and any other ARN unchanged."""
    if ":assumed-role/" not in principal_arn:
        return principal_arn
    account = principal_arn.split(":")[4]
    name = principal_arn.split(":assumed-role/", 1)[1].split("/", 1)[0]
    role = iam._roles.get_scoped(account, None, name) or {}
    return str(role.get("Arn") or f"arn:aws:iam::{account}:role/{name}")


def _account_of(access_key: str) -> str:
    if access_key.isdigit() and len(access_key) == 12:
        return access_key
    session = sts._sessions.get(access_key) or {}
    return str(session.get("AccountId") or evaluator.find_iam_access_key_account(access_key) or get_account_id())


def _scope_of(resource: str, account: str) -> tuple[str, str]:
    """Returns account and Region of an ARN. If it has none, returns those of the caller."""
    parts = resource.split(":")
    if len(parts) < 6:
        return account, get_region()
    return parts[4] or account, parts[3] or get_region()


def _resource_policy(resource: str) -> tuple[str, str] | None:
    service = resource.split(":")[2] if resource.startswith("arn:") else ""
    found: tuple[str, str] | None = evaluator._resource_policy(service, resource)
    return found


def _service_context(account: str | None, resource: str, context: Mapping[str, str]) -> dict[str, Any]:
    keys: dict[str, Any] = {"aws:viaawsservice": "false"}
    if account is not None:
        keys |= {"kms:calleraccount": account, "aws:principalisawsservice": "false"}
    tags = tag_store.resource_tags(resource) or {}
    owners = ("aws", resource.split(":")[2]) if tags else ()
    keys |= {f"{owner}:resourcetag/{name.lower()}": value for owner in owners for name, value in tags.items()}
    keys |= {name.lower(): value for name, value in context.items()}
    pairs = [name.removeprefix(_CONTEXT_PREFIX) for name in keys if name.startswith(_CONTEXT_PREFIX)]
    return keys | ({"kms:encryptioncontextkeys": pairs} if pairs else {})


def _constraints_hold(constraints: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """Returns whether `context`, which has lower-case names, satisfies the constraints of a grant."""
    given = {name.removeprefix(_CONTEXT_PREFIX): v for name, v in context.items() if name.startswith(_CONTEXT_PREFIX)}
    equals = {k.lower(): v for k, v in (constraints.get("EncryptionContextEquals") or {}).items()}
    subset = {k.lower(): v for k, v in (constraints.get("EncryptionContextSubset") or {}).items()}
    source = constraints.get("SourceArn")
    return (
        (not equals or equals == given)
        and subset.items() <= given.items()
        and (not source or context.get("aws:sourcearn") == source)
    )
