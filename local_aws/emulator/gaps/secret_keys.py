"""KMS keys of secrets: each version is encrypted under a key, on which readers and writers need permission."""

from typing import Any

from ministack.core.responses import get_account_id, get_region, json_response, new_uuid, request_scope
from ministack.services import kms, secretsmanager

from local_aws.emulator import authorization
from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.gaps.keys import is_aws_managed
from local_aws.emulator.gaps.patching import Around, body_of, current_caller, error_response, wrap
from local_aws.emulator.gaps.secrets import DEFAULT_KEY

# Secrets Manager calls these operations to validate a key. The encryption context has this version id and, with `keyValidation`
# `SecretARN`, also this secret: https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
_WRITE = ("kms:GenerateDataKey", "kms:Decrypt")
_VALIDATION = "RequestToValidateKeyAccess"
_DENIED = ("AccessDeniedException", "Access to KMS is not allowed")


def apply() -> None:
    wrap(secretsmanager, "_create_secret", _create_secret)
    wrap(secretsmanager, "_put_secret_value", _put_secret_value)
    wrap(secretsmanager, "_update_secret", _update_secret)
    wrap(secretsmanager, "_get_secret_value", _get_secret_value)
    wrap(secretsmanager, "_list_secret_version_ids", _list_secret_version_ids)


def keys_of(secret: dict[str, Any], version_id: str) -> list[str]:
    """Returns the keys that can each decrypt a version, newest first. The empty string is the account's default key."""
    keys: list[str] = secret["Versions"][version_id].get("_keys") or [_reference(secret.get("KmsKeyId"))]
    return keys


def _create_secret(original: Around, data: dict[str, Any]) -> Any:
    """Gap: KmsKeyId is stored but not used."""
    known = secretsmanager._secrets.get(data.get("Name"))
    response = original(data)
    made = body_of(response)
    if made is None or known:
        return response
    secret = secretsmanager._secrets[made["Name"]]
    versions = (_VALIDATION, made.get("VersionId", _VALIDATION))
    errors = (_key_error(secret["ARN"], _reference(data.get("KmsKeyId")), version, _WRITE) for version in versions)
    if denied := next(filter(None, errors), None):
        del secretsmanager._secrets[made["Name"]]
        return denied
    _encrypt_under(secret, made.get("VersionId"))
    return response


def _put_secret_value(original: Around, data: dict[str, Any]) -> Any:
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if secret is None:
        return original(data)
    version_id = data.get("ClientRequestToken") or new_uuid()
    is_known = version_id in secret["Versions"]
    key = _reference(secret.get("KmsKeyId"))
    if not is_known and (denied := _key_error(secret["ARN"], key, version_id, _WRITE)):
        return denied
    response = original(data | {"ClientRequestToken": version_id})
    if not is_known and body_of(response):
        _encrypt_under(secret, version_id)
    return response


def _update_secret(original: Around, data: dict[str, Any]) -> Any:
    """A new key also needs kms:Encrypt. Versions are re-encrypted only if the caller can decrypt them with the old key.

    The copies under the former key remain, so either key can decrypt them.
    """
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    new = _reference(data.get("KmsKeyId"))
    if secret is None or "KmsKeyId" not in data or new == _reference(secret.get("KmsKeyId")):
        return original(data)
    arn = secret["ARN"]
    if denied := _key_error(arn, new, _VALIDATION, (*_WRITE, "kms:Encrypt")):
        return denied
    staged = {
        version_id: keys_of(secret, version_id)
        for version_id, version in secret["Versions"].items()
        if {"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"} & set(version["Stages"])
    }
    response = original(data)
    if body_of(response):
        for version_id, keys in staged.items():
            readable = any(_key_error(arn, key, version_id, ("kms:Decrypt",)) is None for key in keys)
            added = [new] if readable and new not in keys else []
            secret["Versions"][version_id]["_keys"] = added + keys
    return response


def _get_secret_value(original: Around, data: dict[str, Any]) -> Any:
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    response = original(data)
    found = body_of(response)
    if secret is None or found is None:
        return response
    version_id = found["VersionId"]
    keys = keys_of(secret, version_id)
    errors = [_key_error(secret["ARN"], key, version_id, ("kms:Decrypt",)) for key in keys]
    return response if None in errors else errors[0]


def _list_secret_version_ids(original: Around, data: dict[str, Any]) -> Any:
    """Gap: versions are listed without their keys. The default key is listed as DefaultEncryptionKey."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    response = original(data)
    found = body_of(response)
    if secret is None or found is None:
        return response
    for version in found["Versions"]:
        version["KmsKeyIds"] = [key or "DefaultEncryptionKey" for key in keys_of(secret, version["VersionId"])]
    return json_response(found)


def _reference(key_id: str | None) -> str:
    """Returns the identifier of a customer managed key, or the empty string for the default key, however it is named."""
    if not key_id or key_id.endswith(DEFAULT_KEY) or is_aws_managed(_find_key(key_id)):
        return ""
    return key_id


def _encrypt_under(secret: dict[str, Any], version_id: str | None) -> None:
    if version_id:
        secret["Versions"][version_id]["_keys"] = [_reference(secret.get("KmsKeyId"))]


def _key_error(secret_arn: str, key_id: str, version_id: str, actions: tuple[str, ...]) -> Any:
    """Returns the error response if the caller is not allowed `actions` with the key of this secret, or None."""
    caller = current_caller()
    if not key_id or caller is None:
        return None  # The policy of the default key allows all principals of the account to use it through Secrets Manager.
    key = _find_key(key_id)
    is_nameless = version_id == _VALIDATION and CURRENT.value.key_validation == "SecretARN"
    context = {
        "aws:ViaAWSService": "true",
        "kms:ViaService": f"secretsmanager.{get_region()}.amazonaws.com",
        "kms:EncryptionContext:SecretARN": _VALIDATION if is_nameless else secret_arn,
        "kms:EncryptionContext:SecretVersionId": version_id,
    }
    if key is None or not all(authorization.allows(caller, action, key["Arn"], context) for action in actions):
        return error_response(*_DENIED)
    is_reading = actions == ("kms:Decrypt",)
    verb, code = ("decrypt", "DecryptionFailure") if is_reading else ("encrypt", "EncryptionFailure")
    text = f"Secrets Manager can't {verb} the protected secret text using the provided KMS key."
    if key["KeyState"] != "Enabled":
        state = "disabled" if key["KeyState"] == "Disabled" else "pending deletion"
        return error_response(code, f"{text} KMSInvalidStateException: {key['Arn']} is {state}.")
    if "_symmetric_key" not in key:
        return error_response(code, f"{text} InvalidKeyUsageException: {key['Arn']} is not a symmetric encryption key.")
    return None


def _find_key(key_id: str) -> dict[str, Any] | None:
    parts = key_id.split(":")
    account, region = (parts[4], parts[3]) if len(parts) == 6 else (get_account_id(), get_region())
    with request_scope(account, region):
        found: dict[str, Any] | None = kms._resolve_key(key_id)
        return found
