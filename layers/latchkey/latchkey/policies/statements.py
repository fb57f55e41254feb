"""The statements that Latchkey writes into policies of keys and secrets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from latchkey.place import Place
from latchkey.policies.document import OWN_SID, Statement

PARTNER_SID = f"{OWN_SID}Partner"
# What AWS's console gives key administrators, less kms:Create*, which would include CreateGrant and with it Decrypt.
# https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-default-allow-administrators
_ADMINISTRATION = [
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListAliases",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
]
_DELETION = ["kms:CancelKeyDeletion", "kms:ScheduleKeyDeletion"]
_USE = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]


def delegation(place: Place) -> Statement:
    """The statement by which IAM policies of the account count for the key; without it only the key policy does.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """
    return {
        "Sid": "EnableIAMUserPermissions",
        "Effect": "Allow",
        "Principal": {"AWS": place.arn("iam", "root", region="")},
        "Action": "kms:*",
        "Resource": "*",
    }


def creation(creator: str) -> Statement:
    """KMS makes a key only if whoever asks for it could change its policy again, and takes that from IAM or the policy itself.

    Named here, the function that makes keys can do so with those it made and with no other.
    https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html#KMS-CreateKey-request-BypassPolicyLockoutSafetyCheck
    """
    return _allow("Creation", [creator], "kms:PutKeyPolicy")


def administration(principals: Iterable[str]) -> Statement:
    """Key administrators: no cryptographic action, and no deletion."""
    return _allow("Administrators", principals, _ADMINISTRATION)


def deletion(principals: Iterable[str]) -> Statement:
    """Administrators who may delete the key: a statement of its own, since others of the same key may not."""
    return _allow("Deletion", principals, _DELETION)


def use(principals: Iterable[str]) -> Statement:
    """Key users, as the console makes them."""
    return _allow("Users", principals, _USE)


def grant_creation(purpose: str, principals: Iterable[str], via_service: str) -> Statement:
    """Lets those who configure the service pass the key on to it, only through the service.

    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-configuring.html
    """
    return _allow(purpose, principals, "kms:CreateGrant", {"StringEquals": {"kms:ViaService": via_service}})


def decryption(principals: Iterable[str], secret_arns: Sequence[str], place: Place) -> Statement:
    """Lets principals decrypt these secrets through Secrets Manager; the secrets' own policies decide who reads which.

    A secret still to be made is named with its random suffix as `-??????`.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    """
    return _allow(
        "SecretDecryption",
        principals,
        "kms:Decrypt",
        {
            "StringEquals": {"kms:ViaService": f"secretsmanager.{place.region}.amazonaws.com"},
            "StringLike": {"kms:EncryptionContext:SecretARN": sorted(secret_arns)},
        },
    )


def default_key_rule(secret_arns: Sequence[str], place: Place) -> Statement:
    """What the key aws/secretsmanager allows the account for a secret, so that one leaving it loses no reader or writer.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html#security-encryption-policies
    """
    return {
        "Sid": f"{OWN_SID}FormerDefaultKey",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": {
            "StringEquals": {
                "kms:CallerAccount": place.account,
                "kms:ViaService": f"secretsmanager.{place.region}.amazonaws.com",
            },
            "StringLike": {"kms:EncryptionContext:SecretARN": sorted(secret_arns)},
        },
    }


def partner_use(principal: str, actions: Sequence[str]) -> Statement:
    """What a partner's account asks for, under a Sid of our own: the partner's may be that of the owner's root statement.

    https://experienceleague.adobe.com/en/docs/experience-platform/landing/governance-privacy-security/customer-managed-keys/aws/ui-set-up
    """
    account = principal.split(":")[4]
    condition = {"StringEquals": {"aws:PrincipalAccount": account}}
    return _allow(f"{PARTNER_SID.removeprefix(OWN_SID)}{account}", [principal], sorted(actions), condition)


def service_reading(purpose: str, principal: str, secret_arn: str) -> Statement:
    """Admits a service principal to the value of one secret.

    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-token-how-to-create-secret.html
    """
    return {
        "Sid": f"{OWN_SID}{purpose}",
        "Effect": "Allow",
        "Principal": {"Service": principal},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": secret_arn,
    }


def role_reading(principals: Iterable[str], secret_arn: str) -> Statement:
    """Admits the origin's roles to the value of one secret."""
    return _allow("OriginReaders", principals, "secretsmanager:GetSecretValue") | {"Resource": secret_arn}


def management_reading(principals: Iterable[str], secret_arn: str) -> Statement:
    """Lets the roles that configure the service show it the secret, without reading it themselves.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_forward_access_sessions.html
    """
    actions = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
    statement = _allow("ManagementRoles", principals, actions, {"Bool": {"aws:ViaAWSService": "true"}})
    return statement | {"Resource": secret_arn}


def _allow(
    purpose: str, principals: Iterable[str], actions: str | list[str], condition: dict[str, Any] | None = None
) -> Statement:
    statement: Statement = {
        "Sid": f"{OWN_SID}{purpose}",
        "Effect": "Allow",
        "Principal": {"AWS": sorted(set(principals))},
        "Action": actions,
        "Resource": "*",
    }
    return statement | {"Condition": condition} if condition else statement
