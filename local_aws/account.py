"""What the account has before Latchkey arrives: a role that manages source locations and one that runs the origin."""

import json
from typing import Any

ACCOUNT, REGION = "000000000000", "us-east-1"

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
    # MediaTailor asks for these in the caller's name; the role itself can read no secret.
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


def furnish(iam: Any) -> None:
    """Makes the roles `MediaTailorManagement` and `Origin`, which the account's own principals may assume."""
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    for role in ("MediaTailorManagement", "Origin"):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=_document([trust]))
    iam.put_role_policy(
        RoleName="MediaTailorManagement", PolicyName="ManageSourceLocations", PolicyDocument=_document(_MANAGEMENT)
    )


def _document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
