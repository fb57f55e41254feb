"""MediaTailor's access to a secret: it checks the caller's permissions, creates and retires a grant, and reads the secret.

https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-overview.html
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import kms, secretsmanager

from local_aws.emulator import clock
from local_aws.emulator.account import ACCOUNT
from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.authorization import Caller, allows, grant_allows, service_allows
from local_aws.emulator.gaps.secret_keys import keys_of
from local_aws.emulator.rest_json import BadRequest, ServiceError
from local_aws.emulator.services.source_locations import GrantRef, SourceLocation
from local_aws.emulator.trail import TRAIL, service_call

PRINCIPAL = "mediatailor.amazonaws.com"
SERVICE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{PRINCIPAL}/AWSServiceRoleForMediaTailor"


def regional(service: str, region: str) -> str:
    return f"{service}.{region}.amazonaws.com"


def grant_access(location: SourceLocation, caller: Caller, former: GrantRef | None) -> GrantRef:
    """Checks the secret with the caller's permissions (a forward access session) and returns the grant it creates.

    Raises ServiceError. Its message never contains the value of the secret.
    """
    token = location.token or {}
    secret = _readable_secret(location, token, caller)
    key = _customer_key(secret)
    _check_value(secret, token["SecretStringKey"])
    request = _grant_request(location, key["Arn"], secret["ARN"])
    _require(caller, "kms:CreateGrant", key["Arn"], _grant_context(location.region, request))
    grant_id = _create_grant(request, former)
    parameters = {
        "keyId": key["Arn"],
        "operations": request["Operations"],
        "constraints": _lower_first(request["Constraints"]),
    } | _lower_first({name: value for name, value in request.items() if "Principal" in name})
    TRAIL.record(
        service_call(
            "kms", "CreateGrant", PRINCIPAL, location.account, location.region, key["Arn"],
            parameters=parameters, response={"grantId": grant_id, "keyId": key["Arn"]}, caller=caller,
        )
    )  # fmt: skip
    return GrantRef(key["Arn"], grant_id)


def token_to_send(location: SourceLocation) -> str | None:
    """Returns the token that MediaTailor sends to the origin. It reads the secret again after `tokenCacheSeconds`."""
    cached, at = location.cached_token or ("", 0.0)
    if cached and at <= clock.seconds() < at + CURRENT.value.token_cache_seconds:
        return cached
    token = read_token(location)
    location.cached_token = (token, clock.seconds()) if token else None
    return token


def read_token(location: SourceLocation) -> str | None:
    """Returns the token, or None if the secret's resource policy or KMS grants do not let MediaTailor read it."""
    token = location.token or {}
    with request_scope(location.account, location.region):
        _, secret = secretsmanager._resolve(token.get("SecretArn"))
        if secret is None:
            return None
        keys = _keys_of_current(secret)
        source = {"aws:SourceAccount": location.account, "aws:SourceArn": location.arn}
        sent = source if CURRENT.value.source_account_sent.mediatailor else {}
        if not service_allows(PRINCIPAL, "secretsmanager:GetSecretValue", secret["ARN"], sent):
            return None
        context = source | {"kms:EncryptionContext:SecretARN": secret["ARN"]}
        grantees = (regional("mediatailor", location.region), PRINCIPAL, SERVICE_ROLE)
        if not any(grant_allows(grantee, "kms:Decrypt", key, context) for grantee in grantees for key in keys):
            return None
        return _value(secretsmanager.resolve_secret_string(secret["ARN"]), token["SecretStringKey"])


def _keys_of_current(secret: dict[str, Any]) -> list[str]:
    """Returns the enabled keys that can decrypt the current version. They can differ from the secret's current key."""
    current = next(version for version, held in secret["Versions"].items() if "AWSCURRENT" in held["Stages"])
    keys = [kms._resolve_key(key) for key in keys_of(secret, current) if key]
    return [key["Arn"] for key in keys if key and key["KeyState"] == "Enabled"]


def retire(grant: GrantRef, location: SourceLocation, in_use: Callable[[GrantRef], bool]) -> None:
    """Retires MediaTailor's grant as the assumption `mediatailorRetires` says."""
    when = CURRENT.value.mediatailor_retires
    if when == "at-once":
        _retire_now(grant, location)
    elif when == "late":

        def later() -> None:
            if CURRENT.value.late_retires_reused or not in_use(grant):
                _retire_now(grant, location)

        asyncio.get_running_loop().call_later(CURRENT.value.late_seconds, later)


def _retire_now(grant: GrantRef, location: SourceLocation) -> None:
    with request_scope(location.account, location.region):
        status, _, _ = kms._retire_grant({"KeyId": grant.key_arn, "GrantId": grant.grant_id})
    if status == 200:  # otherwise the grant was revoked in the meantime
        TRAIL.record(
            service_call(
                "kms", "RetireGrant", PRINCIPAL, location.account, location.region, grant.key_arn,
                additional={"grantId": grant.grant_id},
            )
        )  # fmt: skip


def _readable_secret(location: SourceLocation, token: dict[str, str], caller: Caller) -> dict[str, Any]:
    arn = token["SecretArn"]
    if not arn.startswith(f"arn:aws:secretsmanager:{location.region}:{location.account}:secret:"):
        raise BadRequest("SecretArn must be the ARN of a secret in the account and Region of the source location.")
    forward = {"aws:ViaAWSService": "true"}
    _require(caller, "secretsmanager:DescribeSecret", arn, forward)
    _, secret = secretsmanager._resolve(arn)
    if secret is None:
        raise denied(f"The secret {arn} does not exist.")
    if secret.get("DeletedDate"):
        raise BadRequest(f"The secret {arn} is marked for deletion.")
    _require(caller, "secretsmanager:GetSecretValue", secret["ARN"], forward)
    if CURRENT.value.caller_needs_decrypt and secret.get("KmsKeyId"):
        decrypt = forward | {
            "kms:ViaService": regional("secretsmanager", location.region),
            "kms:EncryptionContext:SecretARN": secret["ARN"],
        }
        _require(caller, "kms:Decrypt", secret["KmsKeyId"], decrypt)
    found: dict[str, Any] = secret
    return found


def _customer_key(secret: dict[str, Any]) -> dict[str, Any]:
    key_id = secret.get("KmsKeyId") or "alias/aws/secretsmanager"
    if "alias/" in key_id and key_id.endswith("alias/aws/secretsmanager"):
        raise BadRequest("The secret is encrypted with aws/secretsmanager; MediaTailor needs a customer managed key.")
    if not key_id.startswith("arn:") or "alias/" in key_id:
        raise BadRequest("The secret names its key by id or alias; MediaTailor needs the key's ARN there.")
    key: dict[str, Any] | None = kms._resolve_key(key_id)
    if key is None:
        raise denied(f"The key {key_id} does not exist.")
    if key["KeyState"] != "Enabled":
        raise BadRequest(f"The key {key_id} is {key['KeyState']}.")
    if key.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
        raise BadRequest(f"The key {key_id} is not symmetric.")
    return key


def _check_value(secret: dict[str, Any], key: str) -> None:
    value = _value(secretsmanager.resolve_secret_string(secret["ARN"]), key)
    if value is None:
        raise BadRequest(f"The secret is not JSON with the key {key}.")
    if not 8 <= len(value) <= 128:
        raise BadRequest(f"The value of {key} in the secret must have 8 to 128 characters.")


def _value(secret_string: str | None, key: str) -> str | None:
    try:
        value = json.loads(secret_string or "")[key]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _grant_request(location: SourceLocation, key_arn: str, secret_arn: str) -> dict[str, Any]:
    common = {"KeyId": key_arn, "Name": location.grant_name, "Operations": ["Decrypt", "RetireGrant"]}
    if CURRENT.value.grant_form != "service-principal":
        is_role = CURRENT.value.grant_form == "role"
        grantee = {"GranteePrincipal": SERVICE_ROLE if is_role else regional("mediatailor", location.region)}
        return common | grantee | {"Constraints": {"EncryptionContextSubset": {"SecretARN": secret_arn}}}
    principals = {"GranteeServicePrincipal": PRINCIPAL, "RetiringServicePrincipal": PRINCIPAL}
    return common | principals | {"Constraints": {"SourceArn": location.arn}}


def _grant_context(region: str, request: dict[str, Any]) -> dict[str, Any]:
    context = {
        "aws:ViaAWSService": "true",
        "kms:ViaService": regional("mediatailor", region),
        "kms:GrantIsForAWSResource": "true",
        "kms:GrantOperations": request["Operations"],
    }
    if "SourceArn" in request["Constraints"]:
        context["kms:GrantConstraintSourceArn"] = request["Constraints"]["SourceArn"]
    else:
        context["kms:GrantConstraintType"] = "EncryptionContextSubset"
    return context | {f"kms:{name}": value for name, value in request.items() if "Principal" in name}


def _create_grant(request: dict[str, Any], former: GrantRef | None) -> str:
    """Returns the id of a grant for the request. `former` is reused if it still exists and is equal.

    The assumption `recreatedGrant` in gaps/grants.py decides whether a recreated source location reuses the former grant.
    """
    known = kms._grants.get(former.grant_id) if former else None
    if former and known and all(known[name] == request[name] for name in ("KeyId", "Name", "Constraints")):
        return former.grant_id
    status, _, body = kms._create_grant(request)
    answer = json.loads(body)
    if status != 200:
        raise BadRequest(f"The grant could not be created: {answer.get('message', answer.get('__type'))}")
    return str(answer["GrantId"])


def _require(caller: Caller, action: str, resource: str, context: dict[str, Any]) -> None:
    if not allows(caller, action, resource, context):
        raise denied(f"{caller.arn} is not authorized to perform {action}")


def denied(message: str) -> ServiceError:
    """Returns the answer to a missing permission of the caller, and to a key or secret that does not exist."""
    return ServiceError("AccessDeniedException", message, 403) if CURRENT.value.denial_status == 403 else BadRequest(message)


def _lower_first(members: dict[str, Any]) -> dict[str, Any]:
    return {name[0].lower() + name[1:]: value for name, value in members.items()}
