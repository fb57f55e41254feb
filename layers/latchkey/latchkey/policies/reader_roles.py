"""The roles that services assume to read secrets: name, trust policy and permissions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from latchkey.place import Place
from latchkey.policies import VERSION, Document, is_same

# The names of reader roles begin with this prefix and the Region, and the functions can change only such roles. The name of a
# stack cannot contain an underscore, so no role of a stack has the prefix.
ROLE_PREFIX = "latchkey_"
# The name of the only inline policy of a reader role.
POLICY_NAME = "ReadOneSecret"
# Opt-in Regions, where services also have a Regional principal:
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
    """A reader role: its name, its trust policy and its only inline policy.

    `former_trusts` are the trust policies that earlier versions of Latchkey gave the role. The service reads through them, so
    they stay.
    """

    name: str
    trust: Document
    policy: Document
    former_trusts: tuple[Document, ...] = ()

    def arn(self, place: Place) -> str:
        """The ARN. The role has no path, because router resources of MediaConnect do not accept one."""
        return place.arn("iam", f"role/{self.name}", region="")

    def accepts_trust(self, present: Document) -> bool:
        """Whether a trust policy is the wanted one, or that of an earlier version."""
        return any(is_same(present, accepted) for accepted in (self.trust, *self.former_trusts))


def role_name(system: str, resource: str, access_id: str, place: Place) -> str:
    """A readable name of at most 64 characters. A hash of Region and access ID makes it unique, because IAM is global.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    unique = hashlib.sha256(f"{place.region} {access_id}".encode()).hexdigest()[:10]
    readable = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{ROLE_PREFIX}{place.region}_{system}_{resource}")
    return f"{readable[:53].rstrip('-')}_{unique}"


def trust(principals: Sequence[str], place: Place, *, sends_account: bool) -> Document:
    """Lets only the service assume the role, and only for resources of this account.

    `sends_account` means that the service is documented to send `aws:SourceAccount`. A service that is not can only be required
    to send this account if it sends any. The trust policy has no resource ARN: services choose ARNs when they create resources,
    and a pattern for MediaConnect flows would exclude routers.
    https://docs.aws.amazon.com/mediaconnect/latest/ug/cross-service-confused-deputy-prevention.html
    """
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Sid": "TheServiceForThisAccount",
                "Effect": "Allow",
                "Principal": {"Service": principals[0] if len(principals) == 1 else [*principals]},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals" if sends_account else "StringEqualsIfExists": {"aws:SourceAccount": place.account}
                },
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
    other_secret_arns: Sequence[str] = (),
) -> Document:
    """Allows reading one secret, and decrypting with its key for that secret only.

    The keys of `other_secret_arns` are not known, so the role can decrypt these secrets with any key.
    """
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
            # The action has no resource, and returns no value without GetSecretValue on the secret:
            # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
            {"Sid": "TakesNoResource", "Effect": "Allow", "Action": [*listing_actions], "Resource": "*"}
        )
    if other_secret_arns:
        others, any_key = [*other_secret_arns], place.arn("kms", "key/*")
        condition = {"StringEquals": via | {"kms:EncryptionContext:SecretARN": others}}
        statements += [
            {"Sid": "OtherSecrets", "Effect": "Allow", "Action": [*secret_actions], "Resource": others},
            {
                "Sid": "TheirKeysForNothingElse",
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": any_key,
                "Condition": condition,
            },
        ]
        if describes_key:
            statements.append({"Sid": "WhatTheirKeysAre", "Effect": "Allow", "Action": "kms:DescribeKey", "Resource": any_key})
    return {"Version": VERSION, "Statement": statements}
