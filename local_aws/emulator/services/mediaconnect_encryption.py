"""Static keys and SRT passwords of MediaConnect: it reads them through the role in the request and validates them.

https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key-set-up.html
https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-srt-password-set-up.html
"""

import asyncio
import json
import re
from typing import Any

from local_aws.emulator.authorization import Caller
from local_aws.emulator.rest_json import BadRequest, ServiceError
from local_aws.emulator.services.secrets_role import SecretsRoles, UnreadableError, check_secret_arn

PRINCIPAL = "mediaconnect.amazonaws.com"
_HEX_DIGITS = {"aes128": 32, "aes192": 48, "aes256": 64}
_PROTOCOLS = {"static-key": "zixi-", "srt-password": "srt-"}


async def read_key(
    encryption: dict[str, Any], protocol: str | None, flow_arn: str, caller: Caller, roles: SecretsRoles
) -> str | None:
    """Returns the key, or None if it is not in a secret. Raises ServiceError if MediaConnect would reject the encryption.

    `protocol` is None for an entitlement.
    """
    role = encryption.get("RoleArn", "")
    if not roles.can_pass(caller, role, PRINCIPAL):
        message = f"User: {caller.arn} is not authorized to perform: iam:PassRole on resource: {role}"
        raise ServiceError("ForbiddenException", message, 403)
    kind = encryption.get("KeyType", "static-key")
    if kind == "speke":  # its keys come from API Gateway, not from a secret
        return None
    if not (protocol or "zixi-").startswith(_PROTOCOLS[kind]):
        raise BadRequest(f"The key type {kind} cannot be used with the protocol {protocol}.")
    if kind == "static-key" and "Algorithm" not in encryption:
        raise BadRequest("A static key needs an algorithm.")
    if "SecretArn" not in encryption:
        raise BadRequest(f"The key type {kind} needs a secret.")
    try:
        check_secret_arn(encryption["SecretArn"], flow_arn)
        value = await asyncio.to_thread(_read, roles, role, encryption["SecretArn"], flow_arn)
    except UnreadableError as error:
        raise BadRequest(str(error)) from None
    wrong = _key_error(value, encryption["Algorithm"]) if kind == "static-key" else _password_error(value)
    if wrong:
        raise BadRequest(f"The secret {encryption['SecretArn']} {wrong}")
    return value


def _read(roles: SecretsRoles, role_arn: str, secret_arn: str, flow_arn: str) -> str:
    with roles.assume(PRINCIPAL, role_arn, flow_arn) as role:
        role.stages(secret_arn)
        return role.value(secret_arn)


def _key_error(value: str, algorithm: str) -> str | None:
    digits = _HEX_DIGITS[algorithm]
    fits = re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", value)
    return None if fits else f"must be plaintext of {digits} hexadecimal digits for {algorithm}."


def _is_json_object(value: str) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except ValueError:
        return False


def _password_error(value: str) -> str | None:
    """The mix of characters in the guide is a recommendation for new passwords, so it is not required here."""
    fits = 10 <= len(value.encode()) <= 79 and not _is_json_object(value)
    return None if fits else "must be plaintext of 10 to 79 bytes."
