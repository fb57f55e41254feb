"""Sample requests, settings and ARNs for the unit and policy tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from latchkey.access.bounds import Bounds
from latchkey.access.desired import Desired, desire
from latchkey.access.tenants import Tenants
from latchkey.onboarding.rules.denials import FunctionRoles
from latchkey.place import Place
from latchkey.requests.parsing import parse_onboarding
from latchkey.settings import Settings
from latchkey.tags import DEFAULT_TENANT

ACCOUNT, REGION = "111122223333", "eu-west-1"
PLACE = Place(partition="aws", account=ACCOUNT, region=REGION)
CONFIGURE_ROLE = PLACE.arn("iam", "role/latchkey-configure_access", region="")
CREATE_KEY_ROLE = PLACE.arn("iam", "role/latchkey-create_key", region="")
ATTACH_ROLE = PLACE.arn("iam", "role/latchkey-attach_policies", region="")
CREATE_SECRET_ROLE = PLACE.arn("iam", "role/latchkey-create_secret", region="")
VALIDATE_ROLE = PLACE.arn("iam", "role/latchkey-validate_access", region="")
REMOVE_ROLE = PLACE.arn("iam", "role/latchkey-remove_policies", region="")
UNDO_ROLE = PLACE.arn("iam", "role/latchkey-undo_onboarding", region="")
SETTINGS = Settings(
    place=PLACE,
    access_table="accesses",
    request_bus="requests",
    stack="latchkey",
    secret_prefix="latchkey/",
    adopted_secret_prefix="MediaPackage",
    allow_http_origins=False,
    trusted_principal_patterns=(),
    allowed_origin_hosts=(),
    allowed_partner_accounts=(),
    accepted_grantees=(),
    configure_role_arn=CONFIGURE_ROLE,
    create_key_role_arn=CREATE_KEY_ROLE,
    attach_role_arn=ATTACH_ROLE,
    remove_role_arn=REMOVE_ROLE,
    undo_role_arn=UNDO_ROLE,
    reader_boundary_arn=f"arn:aws:iam::{ACCOUNT}:policy/latchkey-ReaderBoundary",
    grace_seconds=600,
    tenant_parameters="/latchkey/tenants",
)
ROLES = FunctionRoles(
    attach=ATTACH_ROLE,
    configure=CONFIGURE_ROLE,
    create_secret=CREATE_SECRET_ROLE,
    undo=UNDO_ROLE,
    validate=VALIDATE_ROLE,
)
# No parameter exists, so there is only the default tenant.
TENANTS = Tenants(SETTINGS, lambda _: None)
BOUNDS = Bounds(SETTINGS)
KEY_ARN = PLACE.arn("kms", "key/1234abcd-12ab-34cd-56ef-1234567890ab")
SECRET_ARN = PLACE.arn("secretsmanager", "secret:latchkey/mediatailor/sports-origin/token-AbCdEf")
EXISTING_ARN = PLACE.arn("secretsmanager", "secret:origin/shared-QwErTy")
EXECUTION_ARN = PLACE.arn("states", "execution:onboard-access:one")

FLOW_ARN = PLACE.arn("mediaconnect", "flow:1-AbCdEf-0123456789ab:sports")
PARTNERS = ("444455556666", "777788889999")


def partner_statement(account: str, sid: str = "Enable IAM User Permissions") -> dict[str, Any]:
    """A statement as the partner shows it. By default, its Sid equals that of the root statement of a new key."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": [
            "kms:Decrypt",
            "kms:Encrypt",
            "kms:ReEncrypt*",
            "kms:GenerateDataKey*",
            "kms:DescribeKey",
            "kms:CreateGrant",
        ],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": account}},
    }


# The smallest valid request of every system and kind, without its ID.
KINDS: Mapping[str, dict[str, Any]] = {
    "mediatailor": {
        "system": "mediatailor",
        "resource": {
            "sourceLocation": "sports-origin",
            "baseUrl": "https://origin.example.com/vod",
            "header": "X-Origin-Token",
            "secretKey": "MyAccessTokenIdentifier",
        },
    },
    "mediapackage": {"system": "mediapackage", "resource": {"originEndpoint": "sports-hls"}},
    "mediapackage-vod": {"system": "mediapackage-vod", "resource": {"packagingGroup": "sports-vod"}},
    "mediapackagev2": {
        "system": "mediapackagev2",
        "resource": {"channelGroup": "sports", "channel": "main", "originEndpoint": "hls"},
    },
    "mediaconnect-source": {
        "system": "mediaconnect",
        "resource": {"flowArn": FLOW_ARN, "source": "contribution", "algorithm": "aes256"},
    },
    "mediaconnect-output": {
        "system": "mediaconnect",
        "resource": {"flowArn": FLOW_ARN, "output": "distribution", "algorithm": "aes128"},
    },
    "mediaconnect-entitlement": {
        "system": "mediaconnect",
        "resource": {"flowArn": FLOW_ARN, "entitlement": "affiliate", "algorithm": "aes192"},
    },
    "mediaconnect-srt-password": {
        "system": "mediaconnect",
        "resource": {"flowArn": FLOW_ARN, "output": "studio", "keyType": "srt-password"},
    },
    "adobe-experience-platform": {
        "system": "adobe-experience-platform",
        "resource": {
            "instanceRegion": REGION,
            "partnerStatements": [
                partner_statement(PARTNERS[0]),
                partner_statement(PARTNERS[1], "CJA Flow IAM User Permissions"),
            ],
        },
    },
}
READ_BY_ROLE = [name for name in KINDS if name.startswith(("mediapackage", "mediaconnect"))]

# A token that was put into a request by mistake. No message, log or document contains it.
TOKEN = "not-a-real-token-4711"
MISSING = ...  # its representation is the same in every pytest worker


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    deep: Any = []
    for _ in range(depth):
        deep = [deep]
    return deep


def role(name: str) -> str:
    return PLACE.arn("iam", f"role/{name}", region="")


def user(name: str) -> str:
    return PLACE.arn("iam", f"user/{name}", region="")


def detail(changes: Mapping[str, Any] | None = None, kind: str = "mediatailor") -> dict[str, Any]:
    """The detail of a small valid request. `changes` sets members by path; MISSING removes one."""
    made: dict[str, Any] = {"requestId": "request-1"} | copy.deepcopy(KINDS[kind])
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        node: Any = made
        for parent in parents:
            node = node[int(parent)] if isinstance(node, list) else node.setdefault(parent, {})
        place = int(last) if isinstance(node, list) else last
        if value is MISSING:
            del node[place]
        else:
            node[place] = copy.deepcopy(value)
    return made


def desired(changes: Mapping[str, Any] | None = None, kind: str = "mediatailor") -> Desired:
    """The desired state of the request `detail(changes, kind)`."""
    return desire(parse_onboarding(detail(changes, kind)), SETTINGS, DEFAULT_TENANT)


FULL: Mapping[str, Any] = {
    "managementRoles": [role("MediaTailorManagement"), role("media/Operators")],
    "secret.originReaders": [role("Origin")],
    "key.administrators": [role("KeyAdmins"), user("alice")],
    "key.users": [role("Backup")],
    "key.allowDeletion": True,
    "tags": {"team": "sports"},
}

# Every path of a request at which a token, as a value or as a name, makes the request invalid.
TOKEN_PLACES: Mapping[str, dict[str, Any]] = {
    "as the secret": detail({"secret": TOKEN}),
    "as the secret in a list": detail({"secret": [TOKEN]}),
    "as the secret's value": detail({"secret.value": TOKEN}),
    "as the secret's value in a list": detail({"secret.value": [TOKEN]}),
    "as a name in the secret's value": detail({"secret.value": {TOKEN: True}}),
    "instead of generate": detail({"secret.value.generate": TOKEN}),
    "as the length": detail({"secret.value.generate.length": TOKEN}),
    "next to the length": detail({"secret.value.generate": {"length": 40, "token": TOKEN}}),
    "as the secret to copy": detail({"secret.value.copyFrom": {"secretArn": TOKEN}}),
    "as the member to copy": detail({"secret.value.copyFrom": {"secretArn": EXISTING_ARN, "key": f"{TOKEN} "}}),
    "as the secret to adopt": detail({"secret.value.existing": {"secretArn": TOKEN}}),
    "as an unknown source": detail({"secret.value": {"plaintext": TOKEN}}),
    "in a member of the secret": detail({"secret": {"secretString": TOKEN}}),
    "as a name in the secret": detail({"secret": {TOKEN: 1}}),
    "as the secret's name": detail({"secret.name": f"{TOKEN}!"}),
    "as a consent": detail({"secret.replacesToken": TOKEN}),
    "as a reader": detail({"secret.originReaders": [role("Origin"), TOKEN]}),
    "in a member of the request": detail({"token": TOKEN}),
    "as a name in the request": detail({TOKEN: {}}),
    "deep in an unknown member": detail({"notes": {"a": [{"b": {"c": [TOKEN, {TOKEN: TOKEN}]}}]}}),
    "in the resource": detail({"resource.token": TOKEN}),
    "as a name in the resource": detail({f"resource.{TOKEN}": TOKEN}),
    "as the resource": detail({"resource": TOKEN}),
    "as the header with its name": detail({"resource.header": f"X-Origin-Token: {TOKEN}"}),
    "as a password in the base URL": detail({"resource.baseUrl": f"https://latchkey:{TOKEN}@origin.example.com"}),
    "in the query of the base URL": detail({"resource.baseUrl": f"https://origin.example.com/vod?token={TOKEN}"}),
    "as the port of the base URL": detail({"resource.baseUrl": f"https://origin.example.com:{TOKEN}/vod"}),
    "as the member of the secret": detail({"resource.secretKey": f"{TOKEN}="}),
    "as the source location": detail({"resource.sourceLocation": f"{TOKEN}."}),
    "as configure": detail({"resource.configure": TOKEN}),
    "as the key": detail({"key": TOKEN}),
    "as the alias": detail({"key.alias": TOKEN}),
    "as the key's ARN": detail({"key.arn": TOKEN}),
    "as the rotation": detail({"key.rotationDays": TOKEN}),
    "as a name in the key": detail({f"key.{TOKEN}": 1}),
    "as a tag's name": detail({"tags": {f"{TOKEN}\n": "x"}}),
    "as a tag's value": detail({"tags": {"team": f"{TOKEN}\n"}}),
    "under a tag that says so": detail({"tags": {"token": TOKEN}}),
    "as the tags": detail({"tags": [TOKEN]}),
    "as the roles": detail({"managementRoles": TOKEN}),
    "as the system": detail({"system": TOKEN}),
    "as the mode": detail({"mode": TOKEN}),
    "as the version": detail({"version": TOKEN}),
    "as the request id": detail({"requestId": f"{TOKEN}/"}),
    "under a system that does not exist": detail({"system": "mediastore", "resource": {TOKEN: TOKEN}}),
}


def text(document: object) -> str:
    """The JSON text of a policy."""
    return json.dumps(document)
