"""The statements that Latchkey adds to key policies and resource policies of secrets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from latchkey.place import Place
from latchkey.policies.document import OWN_SID, Statement

PARTNER_SID = f"{OWN_SID}Partner"
# The actions that the AWS console allows key administrators, without kms:Create*, which includes CreateGrant.
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


# The secret ARN or the version in the encryption context when Secrets Manager checks that it can use a key, with no data:
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
KEY_VALIDATION = "RequestToValidateKeyAccess"


def delegation(place: Place) -> Statement:
    """Lets IAM policies of the account allow the key. Without this statement, only the key policy can.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """
    return {
        "Sid": "EnableIAMUserPermissions",
        "Effect": "Allow",
        "Principal": {"AWS": place.arn("iam", "root", region="")},
        "Action": "kms:*",
        "Resource": "*",
    }


def creation(writers: Iterable[str]) -> Statement:
    """Lets the functions that write key policies change the policy of this key.

    KMS accepts a policy only if the caller is allowed to change it afterward, and does not document whether it counts an IAM
    policy with a condition on tags, such as those of these functions.
    https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html#KMS-PutKeyPolicy-request-BypassPolicyLockoutSafetyCheck
    """
    return _allow("Creation", writers, "kms:PutKeyPolicy")


def administration(principals: Iterable[str]) -> Statement:
    """Lets key administrators manage the key, without cryptographic actions and deletion."""
    return _allow("Administrators", principals, _ADMINISTRATION)


def deletion(principals: Iterable[str]) -> Statement:
    """Lets administrators delete the key. A separate statement, because it can have fewer principals."""
    return _allow("Deletion", principals, _DELETION)


def use(principals: Iterable[str]) -> Statement:
    """Lets key users encrypt and decrypt, with the actions that the AWS console allows."""
    return _allow("Users", principals, _USE)


def grant_creation(purpose: str, principals: Iterable[str], via_service: str) -> Statement:
    """Lets the principals that configure a service create grants on the key, only through that service.

    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-configuring.html
    """
    return _allow(purpose, principals, "kms:CreateGrant", {"StringEquals": {"kms:ViaService": via_service}})


def decryption(principals: Iterable[str], secret_arns: Sequence[str], place: Place) -> Statement:
    """Lets principals decrypt these secrets through Secrets Manager. The policy of each secret decides who can read it.

    The ARN of a secret that does not exist yet ends in `-??????`.
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
    """Allows what the key aws/secretsmanager allows the account, so that a secret that moves to this key keeps its readers.

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
    """Allows the account of a partner. The Sid is ours, because the partner's can equal that of the owner's root statement.

    https://experienceleague.adobe.com/en/docs/experience-platform/landing/governance-privacy-security/customer-managed-keys/aws/ui-set-up
    """
    account = principal.split(":")[4]
    condition = {"StringEquals": {"aws:PrincipalAccount": account}}
    return _allow(f"{PARTNER_SID.removeprefix(OWN_SID)}{account}", [principal], sorted(actions), condition)


def service_reading(purpose: str, principal: str, secret_arn: str) -> Statement:
    """Lets a service principal read one secret.

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
    """Lets the roles of the origin read one secret."""
    return _allow("OriginReaders", principals, "secretsmanager:GetSecretValue") | {"Resource": secret_arn}


def management_reading(principals: Iterable[str], secret_arn: str) -> Statement:
    """Lets the service read the secret on behalf of the roles that configure it; the roles cannot read it themselves.

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
