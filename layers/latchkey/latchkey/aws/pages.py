"""The only reader of operations that return their results in pages. A read is complete, or it raises an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from latchkey.errors import TransientAwsError

# The member of a response that continues a list, and the member of the next request that receives it. botocore has no paginator
# for some operations (ListSecretVersionIds), and its paginators end without an error if a truncated page has no marker.
MARKERS: Mapping[str, str] = {
    "LastEvaluatedKey": "ExclusiveStartKey",
    "Marker": "Marker",
    "NextMarker": "Marker",
    "NextToken": "NextToken",
}
TRUNCATION = ("IsTruncated", "Truncated")


def read_pages[Page](operation: Callable[..., Page], **members: Any) -> Iterator[Page]:
    """All pages of an operation, which is a method of a boto3 client. A page can be short or empty without being the last one.

    Raises TransientAwsError if a truncated page has no marker, or if two pages in a row have the same marker.
    """
    continued: dict[str, Any] = {}
    while True:
        page = operation(**members, **continued)
        yield page
        following = _following(cast("Mapping[str, Any]", page))
        if following is None:
            return
        if following == continued:
            raise TransientAwsError("AWS returned the same marker for two pages, so the list is incomplete")
        continued = following


def _following(page: Mapping[str, Any]) -> dict[str, Any] | None:
    """The marker of the next page as a member of its request, or None after the last page."""
    truncated = [page[flag] for flag in TRUNCATION if flag in page]
    markers = {member: page[marker] for marker, member in MARKERS.items() if page.get(marker)}
    if any(truncated) and not markers:
        raise TransientAwsError("AWS returned a truncated page without a marker for the next page, so the list is incomplete")
    # IAM and KMS can return a marker with the last page. If a page has a truncation flag, only the flag counts.
    return None if not markers or (truncated and not any(truncated)) else markers
