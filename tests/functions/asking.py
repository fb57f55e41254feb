"""Inputs of the functions, as a sender and the state machine write them, and what a refusal says."""

from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import InvalidRequest
from tests.functions.account import ACCOUNT, REGION

EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:onboard-access:one"
NAME, SECRET_NAME = "sports-origin", "latchkey/mediatailor/sports-origin/token"
HEADER, SECRET_KEY = "X-Origin-Token", "MyAccessTokenIdentifier"

type Run = Callable[[str, dict[str, Any]], dict[str, Any]]


def onboarding(**members: Any) -> dict[str, Any]:
    """A sound request of the source location `sports-origin`; `resource` is merged into it, every other member replaces."""
    resource = {
        "sourceLocation": NAME,
        "baseUrl": "https://origin.example.com/vod",
        "header": HEADER,
        "secretKey": SECRET_KEY,
    }
    resource |= members.pop("resource", {})
    return {"requestId": "request-1", "system": "mediatailor", "resource": resource, **members}


def to_check(request: dict[str, Any], **members: Any) -> dict[str, Any]:
    """The input of check_request."""
    known = {"requestId": request["requestId"], "contentHash": "c" * 64, "executionArn": EXECUTION, "system": "mediatailor"}
    return known | {"request": request} | members


def existing(secret: str, **members: Any) -> dict[str, Any]:
    """The `secret` of a request that adopts one."""
    return {"value": {"existing": {"secretArn": secret}}, **members}


def copied(secret: str, key: str | None = None, **members: Any) -> dict[str, Any]:
    """The `secret` of a request that imports a value."""
    return {"value": {"copyFrom": {"secretArn": secret} | ({"key": key} if key else {})}, **members}


def refusal(run: Run, verb: str, event: dict[str, Any]) -> dict[str, str]:
    """The problems with which a function refuses, each rule by its place."""
    with pytest.raises(InvalidRequest) as caught:
        run(verb, event)
    told = {problem.place: problem.rule for problem in caught.value.problems}
    assert len(told) == len(caught.value.problems), "two problems at one place"
    return told


def check(run: Run, **members: Any) -> dict[str, str]:
    """The problems check_request finds in a request; fails if it finds none."""
    return refusal(run, "check_request", to_check(onboarding(**members)))
