"""Secrets Manager: idempotent requests, staging labels, and the end of an automatic rotation."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from ministack.core.responses import AccountRegionScopedDict, json_response
from ministack.services import secretsmanager
from ministack.services import tagging as tag_store

from local_aws.emulator import clock
from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.gaps.patching import Around, body_of, error_response, remember_caller, wrap

DEFAULT_KEY = "alias/aws/secretsmanager"
# The time of each forced deletion, by the name of the secret.
_deleted: Any = AccountRegionScopedDict()


def apply() -> None:
    remember_caller(secretsmanager)
    # Gap: the Resource Groups Tagging API does not include secrets.
    tag_store._COLLECTORS["secretsmanager"] = tag_store._collect_secretsmanager
    wrap(secretsmanager, "_resolve", _resolve)
    wrap(secretsmanager, "_create_secret", _create_secret)
    wrap(secretsmanager, "_delete_secret", _delete_secret)
    wrap(secretsmanager, "_put_secret_value", _put_secret_value)
    wrap(secretsmanager, "_update_secret", _update_secret)
    wrap(secretsmanager, "_describe_secret", _describe_secret)
    wrap(secretsmanager, "_list_secrets", _list_secrets)
    wrap(secretsmanager, "_list_secret_version_ids", _list_secret_version_ids)
    wrap(secretsmanager, "handle_request", _handle_request)


def _resolve(original: Around, *identity: Any, **options: Any) -> Any:
    """Gap: a secret is never deleted after its recovery window.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
    """
    _purge_ended()
    return original(*identity, **options)


def _purge_ended() -> None:
    """Deletes the secrets whose recovery window has ended."""
    for name, secret in [*secretsmanager._secrets.items()]:
        if secret.get("DeletedDate") and secret["DeletedDate"] <= clock.seconds():
            secretsmanager._purge_secret(name, secret)


def _create_secret(original: Around, data: dict[str, Any]) -> Any:
    """Gap: ClientRequestToken is ignored, so a repeated request fails and the version gets a random id."""
    secret, token = secretsmanager._secrets.get(data.get("Name")), data.get("ClientRequestToken")
    if (secret and secret.get("DeletedDate")) or _is_being_deleted(data.get("Name")):
        text = "You can't create this secret because a secret with this name is already scheduled for deletion."
        return error_response("InvalidRequestException", text)
    if secret and token in secret["Versions"]:
        if not _same_value(secret["Versions"][token], data):
            return _token_in_use(secret, token)
        return json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token})
    response = original(data)
    made = body_of(response)
    if made is None:
        return response
    secret = secretsmanager._secrets[made["Name"]]
    version = secret["Versions"].pop(made["VersionId"])
    if "SecretString" not in data and "SecretBinary" not in data:
        return json_response({"ARN": made["ARN"], "Name": made["Name"]})
    version_id = token or made["VersionId"]
    secret["Versions"][version_id] = version
    return json_response({"ARN": made["ARN"], "Name": made["Name"], "VersionId": version_id})


def _delete_secret(original: Around, data: dict[str, Any]) -> Any:
    """Gap: a forced deletion frees the name at once. On AWS, it is asynchronous.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
    """
    response = original(data)
    deleted = body_of(response)
    if deleted and data.get("ForceDeleteWithoutRecovery"):
        _deleted[deleted["Name"]] = time.monotonic()
    return response


def _is_being_deleted(name: str | None) -> bool:
    """Whether the name is taken by a secret that was forcibly deleted in the last `forcedDeletionSeconds`."""
    since = _deleted.get(name)
    return since is not None and time.monotonic() - since < CURRENT.value.forced_deletion_seconds


def _list_secret_version_ids(original: Around, data: dict[str, Any]) -> Any:
    """With the assumption `emptyPages`, the first page has no version."""
    response = original(data)
    listed = body_of(response)
    if listed is None or not CURRENT.value.empty_pages:
        return response
    if "NextToken" not in data:
        return json_response(listed | {"Versions": [], "NextToken": base64.b64encode(b"0").decode()})
    return response


def _list_secrets(original: Around, data: dict[str, Any]) -> Any:
    """Gap: ListSecrets omits the key of each secret."""
    _purge_ended()
    response = original(data)
    listed = body_of(response)
    if listed is None:
        return response
    for entry in listed["SecretList"]:
        key = secretsmanager._secrets[entry["Name"]].get("KmsKeyId")
        if key and key != DEFAULT_KEY:
            entry["KmsKeyId"] = key
    return json_response(listed)


def _put_secret_value(original: Around, data: dict[str, Any]) -> Any:
    """Gap: a repeated token overwrites the version, and two versions can have the same staging label."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    token = data.get("ClientRequestToken")
    if secret and not secret.get("DeletedDate") and token in secret["Versions"]:
        version = secret["Versions"][token]
        if not _same_value(version, data):
            return _token_in_use(secret, token)
        names = {"ARN": secret["ARN"], "Name": secret["Name"]}
        return json_response(names | {"VersionId": token, "VersionStages": list(version["Stages"])})
    response = original(data)
    made = body_of(response)
    if secret and made:
        for stage in data.get("VersionStages") or []:
            secretsmanager._remove_stage_everywhere(secret, stage, except_version_id=made["VersionId"])
    return response


def _update_secret(original: Around, data: dict[str, Any]) -> Any:
    """Gap: UpdateSecret ignores ClientRequestToken. Here, it stores the value with PutSecretValue."""
    value = {name: data[name] for name in ("SecretString", "SecretBinary") if name in data}
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    token = data.get("ClientRequestToken")
    if secret and value and token in secret["Versions"] and not _same_value(secret["Versions"][token], data):
        return _token_in_use(secret, token)
    response = original({name: item for name, item in data.items() if name not in value})
    if not value or body_of(response) is None:
        return response
    put = value | {"SecretId": data["SecretId"]} | ({"ClientRequestToken": token} if token else {})
    made = body_of(secretsmanager._put_secret_value(put))
    return json_response({name: made[name] for name in ("ARN", "Name", "VersionId")})


async def _handle_request(
    original: Around, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
) -> Any:
    """Gap: CancelRotateSecret is unknown. The rotation function and its schedule stay in DescribeSecret, as documented."""
    target = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "")
    if target != "secretsmanager.CancelRotateSecret":
        return await original(method, path, headers, body, query)
    _, secret = secretsmanager._resolve(json.loads(body).get("SecretId"))
    if secret is None:
        return error_response("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    secret["RotationEnabled"] = False
    return json_response({"ARN": secret["ARN"], "Name": secret["Name"]})


def _describe_secret(original: Around, data: dict[str, Any]) -> Any:
    """Gap: KmsKeyId is returned if the alias of the default key was given. AWS omits it."""
    response = original(data)
    found = body_of(response)
    if found and str(found.get("KmsKeyId", "")).endswith(DEFAULT_KEY):
        return json_response({name: value for name, value in found.items() if name != "KmsKeyId"})
    return response


def _same_value(version: dict[str, Any], data: dict[str, Any]) -> bool:
    return all(version.get(name) == data.get(name) for name in ("SecretString", "SecretBinary"))


def _token_in_use(secret: dict[str, Any], token: str | None) -> Any:
    text = f"You can't use ClientRequestToken {token} because that value is already in use for a version of secret "
    return error_response("ResourceExistsException", f"{text}{secret['ARN']}.")
