"""Pages of a list operation with MaxResults and NextToken, short or empty where AWS leaves that open."""

import base64
import json
from typing import Any

from local_aws.assumptions import CURRENT
from local_aws.rest_json import BadRequest, Request


def page_of(request: Request, items: list[tuple[str, dict[str, Any]]], member: str = "Items") -> dict[str, Any]:
    """One page of `items` in order of their names, as `member`; a token remembers the last name, so deletions skip nothing."""
    after, number = _position(request.get("NextToken"))
    left = [item for item in items if item[0] > after]
    size = request.get("MaxResults", 100)
    if CURRENT.value.empty_pages:  # every other page is empty, the others hold at most one
        size = number % 2
    page = left[:size]
    output: dict[str, Any] = {member: [item for _, item in page]}
    if len(left) > size:
        position = {"after": page[-1][0] if page else after, "number": number + 1}
        output["NextToken"] = base64.urlsafe_b64encode(json.dumps(position).encode()).decode()
    return output


def _position(token: str | None) -> tuple[str, int]:
    try:
        position: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token)) if token else {"after": "", "number": 0}
        return str(position["after"]), int(position["number"])
    except (ValueError, KeyError, TypeError):
        raise BadRequest("NextToken is not valid.") from None
