"""Pagination with MaxResults and NextToken. By assumption, pages can be short or empty."""

import base64
import json
from typing import Any

from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.rest_json import BadRequest, Request


def page_of(request: Request, items: list[tuple[str, dict[str, Any]]], member: str = "Items") -> dict[str, Any]:
    """Returns one page of `items`, which are sorted by name. The token has the last name, so deletions do not skip items."""
    after, number = _position(request.get("NextToken"))
    remaining = [item for item in items if item[0] > after]
    size = request.get("MaxResults", 100)
    if CURRENT.value.empty_pages:  # every other page is empty, the rest have one item
        size = number % 2
    page = remaining[:size]
    output: dict[str, Any] = {member: [item for _, item in page]}
    if len(remaining) > size:
        position = {"after": page[-1][0] if page else after, "number": number + 1}
        output["NextToken"] = base64.urlsafe_b64encode(json.dumps(position).encode()).decode()
    return output


def _position(token: str | None) -> tuple[str, int]:
    try:
        position: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token)) if token else {"after": "", "number": 0}
        return str(position["after"]), int(position["number"])
    except (ValueError, KeyError, TypeError):
        raise BadRequest("NextToken is not valid.") from None
