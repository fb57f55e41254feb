"""IAM roles that the sample requests name, like those an account has before it uses Latchkey."""

import json
from typing import Any

from local_aws.emulator.account import ACCOUNT

_MANAGEMENT: list[dict[str, Any]] = [
    {
        "Effect": "Allow",
        "Action": [
            "mediatailor:*SourceLocation*",
            "mediatailor:*VodSource*",
            "mediatailor:ListAlerts",
            "mediatailor:TagResource",
        ],
        "Resource": "*",
    },
    # MediaTailor makes these calls on behalf of the caller. The role itself cannot read a secret.
    {
        "Effect": "Allow",
        "Action": ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
        "Resource": "*",
        "Condition": {"Bool": {"aws:ViaAWSService": "true"}},
    },
    {
        "Effect": "Allow",
        "Action": "kms:CreateGrant",
        "Resource": "*",
        "Condition": {"StringLike": {"kms:ViaService": "mediatailor.*.amazonaws.com"}},
    },
    {
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": "*",
        "Condition": {"StringLike": {"kms:ViaService": "secretsmanager.*.amazonaws.com"}},
    },
]


def create_example_roles(iam: Any) -> None:
    """Creates the roles `MediaTailorManagement` and `Origin`, which all principals of the account can assume."""
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    for role in ("MediaTailorManagement", "Origin"):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=_document([trust]))
    iam.put_role_policy(
        RoleName="MediaTailorManagement", PolicyName="ManageSourceLocations", PolicyDocument=_document(_MANAGEMENT)
    )


def _document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
