"""Requests as their senders write them, the input of check_request, and the problems of a rejected request."""

from collections.abc import Callable
from typing import Any

import pytest

from latchkey.access.desired import desire
from latchkey.errors import InvalidRequest
from latchkey.requests.parsing import parse_onboarding
from latchkey.settings import settings
from latchkey.tags import DEFAULT_TENANT
from tests.functions.account import ACCOUNT, REGION
from tests.functions.media_services import FLOW

EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:onboard-access:one"
NAME, SECRET_NAME = "sports-origin", "latchkey/mediatailor/sports-origin/token"
HEADER, SECRET_KEY = "X-Origin-Token", "MyAccessTokenIdentifier"
PARTNER = "111122223333"

type Run = Callable[[str, dict[str, Any]], dict[str, Any]]


def partner(account: str) -> dict[str, Any]:
    """A statement as the encryption page of an Adobe Experience Platform instance shows it."""
    actions = ["Decrypt", "Encrypt", "ReEncrypt*", "GenerateDataKey*", "DescribeKey", "CreateGrant"]
    return {
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": [f"kms:{action}" for action in actions],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": account}},
    }


# A resource of each system.
RESOURCES: dict[str, dict[str, Any]] = {
    "mediatailor": {
        "sourceLocation": NAME,
        "baseUrl": "https://origin.example.com/vod",
        "header": HEADER,
        "secretKey": SECRET_KEY,
    },
    "mediapackage": {"originEndpoint": "live-hls"},
    "mediapackage-vod": {"packagingGroup": "films"},
    "mediapackagev2": {"channelGroup": "sports", "channel": "one", "originEndpoint": "hls"},
    "mediaconnect": {"flowArn": FLOW, "output": "studio", "algorithm": "aes256"},
    "adobe-experience-platform": {"instanceRegion": REGION, "partnerStatements": [partner(PARTNER)]},
}


# Systems whose live resources are configured only after a confirmation, unless the request says otherwise.
STAGED = ("mediapackage", "mediapackage-vod", "mediaconnect")


def onboarding(system: str = "mediatailor", **members: Any) -> dict[str, Any]:
    """A valid request for a system. `resource` is merged into its resource, where None removes a member.

    By default, it takes effect now.
    """
    if system in STAGED:
        members = {"takesEffectNow": True} | members
    resource = RESOURCES[system] | members.pop("resource", {})
    resource = {name: value for name, value in resource.items() if value is not None}
    return {"requestId": "request-1", "system": system, "resource": resource, **members}


def role_name_of(system: str, **members: Any) -> str:
    """The name of the reader role of an `onboarding` request."""
    role = desire(parse_onboarding(onboarding(system, **members)), settings(), DEFAULT_TENANT).role("", "")
    assert role
    return role.name


def check_event(request: dict[str, Any], **members: Any) -> dict[str, Any]:
    """The input of check_request after the value check, which found nothing."""
    known = {"requestId": request["requestId"], "contentHash": "c" * 64, "executionArn": EXECUTION, "findings": []}
    return known | {"system": request["system"], "request": request} | members


def existing(secret: str, **members: Any) -> dict[str, Any]:
    """The `secret` of a request that adopts one."""
    return {"value": {"existing": {"secretArn": secret}}, **members}


def copied(secret: str, key: str | None = None, **members: Any) -> dict[str, Any]:
    """The `secret` of a request that imports a value."""
    return {"value": {"copyFrom": {"secretArn": secret} | ({"key": key} if key else {})}, **members}


def rejection(run: Run, verb: str, event: dict[str, Any]) -> dict[str, str]:
    """The rules that the input of a function breaks, by path; fails if the function accepts it."""
    with pytest.raises(InvalidRequest) as caught:
        run(verb, event)
    rules = {problem.path: problem.rule for problem in caught.value.problems}
    assert len(rules) == len(caught.value.problems), "two problems with one path"
    return rules


def check_rejection(run: Run, **members: Any) -> dict[str, str]:
    """The rules that a request breaks in check_request, by path; fails if it breaks none."""
    return rejection(run, "check_request", check_event(onboarding(**members)))


def rejected_paths(run: Run, **members: Any) -> set[str]:
    """The paths of the problems that check_request finds in a request; fails if it finds none."""
    return set(check_rejection(run, **members))
