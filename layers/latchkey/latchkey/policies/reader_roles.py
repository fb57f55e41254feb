"""The roles through which services read: their names, whom they trust and what they may do. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from latchkey.place import Place
from latchkey.policies import VERSION, Document

# Roles are made under names that begin so, with the Region after it; IAM bounds the functions to that. No stack can bear a name
# with an underscore, so that no role of a stack begins so.
ROLE_PREFIX = "latchkey_"
# The one inline policy of such a role.
POLICY_NAME = "ReadOneSecret"
# Regions that an account must opt in to, in which services have a principal of their own as well:
# https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
OPT_IN_REGIONS = frozenset(
    [
        "af-south-1",
        "ap-east-1",
        "ap-east-2",
        "ap-south-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ap-southeast-5",
        "ap-southeast-6",
        "ap-southeast-7",
        "ca-west-1",
        "eu-central-2",
        "eu-south-1",
        "eu-south-2",
        "il-central-1",
        "me-central-1",
        "me-south-1",
        "mx-central-1",
    ]
)


@dataclass(frozen=True)
class ReaderRole:
    """A role as it should be: `trust` says who assumes it, `policy` is its one inline policy."""

    name: str
    trust: Document
    policy: Document

    def arn(self, place: Place) -> str:
        """Without a path, which MediaConnect's router resources do not take."""
        return place.arn("iam", f"role/{self.name}", region="")


def role_name(system: str, resource: str, access_id: str, place: Place) -> str:
    """At most 64 characters, readable, and unique by a hash of the access: IAM's names are the same in every Region.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    unique = hashlib.sha256(f"{place.region} {access_id}".encode()).hexdigest()[:10]
    readable = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{ROLE_PREFIX}{place.region}_{system}_{resource}")
    return f"{readable[:53].rstrip('-')}_{unique}"


def trust(principals: Sequence[str], place: Place) -> Document:
    """Only the service, and only for resources of this account.

    The resource's ARN is not named: services choose ARNs on creation, and of MediaConnect's a pattern of flows would shut out
    routers. https://docs.aws.amazon.com/mediaconnect/latest/ug/cross-service-confused-deputy-prevention.html
    """
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Sid": "TheServiceForThisAccount",
                "Effect": "Allow",
                "Principal": {"Service": principals[0] if len(principals) == 1 else [*principals]},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": place.account}},
            }
        ],
    }


def reading(
    secret_actions: Sequence[str],
    key_arn: str,
    secret_arn: str,
    place: Place,
    *,
    listing_actions: Sequence[str] = (),
    describes_key: bool = False,
) -> Document:
    """One secret, and its key for nothing but that secret."""
    via = {"kms:ViaService": f"secretsmanager.{place.region}.amazonaws.com"}
    statements = [
        {"Sid": "TheSecret", "Effect": "Allow", "Action": [*secret_actions], "Resource": secret_arn},
        {
            "Sid": "ItsKeyForNothingElse",
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": key_arn,
            "Condition": {"StringEquals": via | {"kms:EncryptionContext:SecretARN": secret_arn}},
        },
    ]
    if describes_key:
        statements.append({"Sid": "WhatTheKeyIs", "Effect": "Allow", "Action": "kms:DescribeKey", "Resource": key_arn})
    if listing_actions:
        statements.append(
            # Takes no resource, and shows no value without GetSecretValue on the secret:
            # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
            {"Sid": "TakesNoResource", "Effect": "Allow", "Action": [*listing_actions], "Resource": "*"}
        )
    return {"Version": VERSION, "Statement": statements}
