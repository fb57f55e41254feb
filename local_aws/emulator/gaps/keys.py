"""KMS keys: operations that the key state does not allow, and the propagation delay of tags."""

import time
from typing import Any

from ministack.services import kms
from ministack.services import tagging as tag_store

from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.gaps.patching import Around, body_of, error_response, remember_caller, wrap

DEFAULT_ALIAS = "alias/aws/secretsmanager"
# Gap: MiniStack performs these operations in states in which KMS rejects them, https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
_NOT_WHILE_PENDING = (
    "_enable_key",
    "_disable_key",
    "_schedule_key_deletion",
    "_tag_resource",
    "_untag_resource",
    "_update_key_description",
    "_enable_key_rotation",
    "_disable_key_rotation",
    "_create_alias",
    "_update_alias",
)
_ROTATION = ("_get_key_rotation_status", "_enable_key_rotation", "_disable_key_rotation")
_NOT_WHILE_DISABLED = ("_enable_key_rotation", "_disable_key_rotation")


def apply() -> None:
    remember_caller(kms)
    for name in _NOT_WHILE_PENDING:
        wrap(kms, name, _unless_pending)
    for name in _NOT_WHILE_DISABLED:
        wrap(kms, name, _unless_disabled)
    for name in _ROTATION:
        wrap(kms, name, _if_rotation_is_supported)
    wrap(kms, "_cancel_key_deletion", _cancel_key_deletion)
    wrap(kms, "_create_key", _create_key)
    wrap(kms, "_describe_key", _describe_key)
    wrap(kms, "_key_metadata", _key_metadata)
    wrap(kms, "_tag_resource", _tag_resource)
    wrap(tag_store, "resource_tags", _settled_tags)


def _unless_pending(original: Around, data: dict[str, Any]) -> Any:
    key = kms._resolve_key(data.get("TargetKeyId") or data.get("KeyId"))
    if key and key["KeyState"] == "PendingDeletion":
        return error_response("KMSInvalidStateException", f"{key['Arn']} is pending deletion.")
    return original(data)


def _unless_disabled(original: Around, data: dict[str, Any]) -> Any:
    key = kms._resolve_key(data.get("KeyId"))
    if key and key["KeyState"] == "Disabled":
        return error_response("DisabledException", f"{key['Arn']} is disabled.")
    return original(data)


def _if_rotation_is_supported(original: Around, data: dict[str, Any]) -> Any:
    """Gap: imported key material and asymmetric keys have a rotation status.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyRotationStatus.html
    """
    key = kms._resolve_key(data.get("KeyId"))
    if key and key["Origin"] != "AWS_KMS":
        text = f"{key['Arn']} origin is {key['Origin']} which is not valid for this operation."
        return error_response("UnsupportedOperationException", text)
    if key and key["KeySpec"] != "SYMMETRIC_DEFAULT":
        return error_response("UnsupportedOperationException", f"{key['Arn']} is not a symmetric encryption key.")
    return original(data)


def _cancel_key_deletion(original: Around, data: dict[str, Any]) -> Any:
    key = kms._resolve_key(data.get("KeyId"))
    if key and key["KeyState"] != "PendingDeletion":
        return error_response("KMSInvalidStateException", f"{key['Arn']} is not pending deletion.")
    return original(data)


def _create_key(original: Around, data: dict[str, Any]) -> Any:
    response = original(data)
    made = body_of(response)
    if made:
        _stamp(kms._keys[made["KeyMetadata"]["KeyId"]], data)
    return response


def _describe_key(original: Around, data: dict[str, Any]) -> Any:
    """Gap: there are no AWS managed keys. The key of Secrets Manager exists as soon as somebody asks for it by its alias."""
    name = str(data.get("KeyId", ""))
    if name.endswith(DEFAULT_ALIAS) and kms._resolve_key(name) is None:
        made = body_of(kms._create_key({"Description": "Default key that protects my secrets"}))["KeyMetadata"]
        kms._keys[made["KeyId"]]["_aws_managed"] = True
        kms._create_alias({"AliasName": DEFAULT_ALIAS, "TargetKeyId": made["KeyId"]})
    return original(data)


def _key_metadata(original: Around, key: dict[str, Any]) -> Any:
    return original(key) | ({"KeyManager": "AWS"} if is_aws_managed(key) else {})


def is_aws_managed(key: dict[str, Any] | None) -> bool:
    """Returns whether a key is an AWS managed key."""
    return bool(key and key.get("_aws_managed"))


def _tag_resource(original: Around, data: dict[str, Any]) -> Any:
    response = original(data)
    if body_of(response) is not None:
        _stamp(kms._resolve_key(data["KeyId"]), data)
    return response


def _stamp(key: dict[str, Any], data: dict[str, Any]) -> None:
    stamps = key.setdefault("_tagged_at", {})
    stamps |= {tag["TagKey"]: time.monotonic() for tag in data.get("Tags") or []}


def _settled_tags(original: Around, arn: str) -> Any:
    """Omits tags of a key that are younger than `tagLagSeconds`. AWS documents a delay of up to five minutes."""
    tags = original(arn)
    if not tags or not CURRENT.value.tag_lag_seconds or ":kms:" not in arn:
        return tags
    stamps = (kms._resolve_key(arn) or {}).get("_tagged_at", {})
    since = time.monotonic() - CURRENT.value.tag_lag_seconds
    return {name: value for name, value in tags.items() if stamps.get(name, 0) <= since}
