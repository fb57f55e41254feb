"""Policies of owners before Latchkey adds its statements."""

from __future__ import annotations

import copy
from typing import Any

from latchkey import policies
from tests.unit.samples import ACCOUNT, FULL, PLACE, SECRET_ARN, desired, role

ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
ANYTHING: dict[str, Any] = {"Effect": "Allow", "Principal": ROOT, "Action": "kms:*", "Resource": "*"}
WITHIN_THE_ACCOUNT = {"StringEquals": {"kms:CallerAccount": ACCOUNT}}


def document(*statements: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": copy.deepcopy([*statements])} | members


# A policy from the console: an Id, a delegation with another Sid than ours, administrators and users of the owner.
CONSOLE_KEY = document(
    {"Sid": "Enable IAM User Permissions"} | ANYTHING,
    {
        "Sid": "Allow access for Key Administrators",
        "Effect": "Allow",
        "Principal": {"AWS": role("Admin")},
        "Action": ["kms:Create*", "kms:Describe*", "kms:Put*"],
        "Resource": "*",
    },
    {
        "Sid": "Allow attachment of persistent resources",
        "Effect": "Allow",
        "Principal": {"AWS": [role("Backup")]},
        "Action": ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"],
        "Resource": "*",
        "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
    },
    Id="key-consolepolicy-3",
)
WITHOUT_SIDS = document(ANYTHING, {"Effect": "Deny", "Principal": "*", "Action": "kms:Delete*", "Resource": "*"})
DUPLICATE_SIDS = document(
    {"Sid": "Access"} | ANYTHING,
    {"Sid": "Access", "Effect": "Allow", "Principal": {"AWS": role("A")}, "Action": "kms:Encrypt", "Resource": "*"},
    {"Sid": "Access", "Effect": "Allow", "Principal": {"AWS": role("A")}, "Action": "kms:Encrypt", "Resource": "*"},
)
SINGLE_STATEMENT = {"Version": "2008-10-17", "Statement": copy.deepcopy(ANYTHING)}
EVERYONE_OF_THE_ACCOUNT = document(
    ANYTHING,
    {"Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*", "Condition": WITHIN_THE_ACCOUNT},
    {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:Encrypt", "Resource": "*", "Condition": WITHIN_THE_ACCOUNT},
)
# Another access with the same key, with a statement of the owner between ours.
SHARED_WITH_ANOTHER_ACCESS = document(
    *desired({**FULL, "resource.sourceLocation": "news-origin", "managementRoles": [role("News")]}).new_key_policy["Statement"][
        :2
    ],
    {"Effect": "Deny", "Principal": "*", "Action": "kms:ScheduleKeyDeletion", "Resource": "*"},
    *desired({**FULL, "resource.sourceLocation": "news-origin", "managementRoles": [role("News")]}).key_statements[1:],
)
# A policy in which lists of one item were changed to text.
LISTS_OF_ONE_AS_TEXT = document(
    ANYTHING,
    {
        "Sid": "LatchkeySecretDecryption",
        "Effect": "Allow",
        "Principal": {"AWS": role("News")},
        "Action": ["kms:Decrypt"],
        "Resource": ["*"],
        "Condition": {
            "StringEquals": {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"},
            "StringLike": {"kms:EncryptionContext:SecretARN": PLACE.arn("secretsmanager", "secret:news-??????")},
        },
    },
)

KEY_POLICIES: dict[str, dict[str, Any]] = {
    "console": CONSOLE_KEY,
    "without-sids": WITHOUT_SIDS,
    "duplicate-sids": DUPLICATE_SIDS,
    "single-statement": SINGLE_STATEMENT,
    "everyone-of-the-account": EVERYONE_OF_THE_ACCOUNT,
    "shared-with-another-access": SHARED_WITH_ANOTHER_ACCESS,
    "lists-of-one-as-text": LISTS_OF_ONE_AS_TEXT,
}

READING = {"Action": "secretsmanager:GetSecretValue", "Resource": "*"}
SECRET_POLICIES: dict[str, dict[str, Any]] = {
    "of-the-origin": document({"Effect": "Allow", "Principal": {"AWS": role("Origin")}} | READING),
    "duplicate-sids": document(
        {"Sid": "Read", "Effect": "Allow", "Principal": {"AWS": role("A")}} | READING,
        {"Sid": "Read", "Effect": "Allow", "Principal": {"AWS": role("B")}} | READING,
    ),
    "single-statement": {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"Service": "mediatailor.amazonaws.com"}} | READING,
    },
    "denied-outside-the-organization": document(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "secretsmanager:*",
            "Resource": "*",
            "Condition": {
                "StringNotEquals": {"aws:PrincipalOrgID": "o-exampleorgid"},
                "Bool": {"aws:PrincipalIsAWSService": "false"},
            },
        }
    ),
    "own-older-statements": policies.new_document(
        desired({"managementRoles": [role("News")], "secret.originReaders": [role("NewsOrigin")]}).secret_statements(SECRET_ARN)
    ),
}
