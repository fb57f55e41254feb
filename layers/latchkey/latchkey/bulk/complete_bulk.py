"""Stores one result for each line of a manifest, and returns the outcome of the bulk request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from latchkey.aws.data_bucket import JSON_LINES, DataBucket
from latchkey.bulk.lines import RESULTS, CheckedManifest, LineResult, RequestLine
from latchkey.errors import ExecutionEnded
from latchkey.events.outcomes import StoredObject
from latchkey.wire import WireModel


class MapResults(WireModel):
    """The manifest of the results that the distributed Map wrote."""

    bucket: str
    key: str


class CompleteBulkInput(WireModel):
    """The manifest of the request, and the results of its lines."""

    manifest: CheckedManifest
    results: MapResults


class CompletedBulk(WireModel):
    """The members that only the outcome of a bulk request has."""

    result: dict[str, Any]


def complete_bulk(event: CompleteBulkInput, bucket: DataBucket) -> CompletedBulk:
    """Stores the results in the order of the lines.

    Raises ExecutionEnded if lines have no outcome yet. Another execution then carries the request on, and reads them again.
    """
    checked = event.manifest
    known = {result.line: result for result in _results(bucket, event.results)}
    requests = bucket.read(checked.requests.key, checked.requests.version_id)
    sent = [RequestLine.model_validate_json(text) for text in requests.decode().split("\n") if text]
    results = [known.get(each.line) or LineResult(line=each.line, requestId=each.content.request_id) for each in sent]
    text = "".join(f"{result.model_dump_json(by_alias=True, exclude_none=True)}\n" for result in results)
    key = f"{checked.folder}{RESULTS}"
    stored = StoredObject(bucket=bucket.name, key=key, versionId=bucket.write(key, text.encode(), JSON_LINES))
    if missing := sum(result.outcome is None for result in results):
        raise ExecutionEnded(f"{missing} of {len(results)} requests have no outcome yet")
    outcomes = Counter(str(result.outcome) for result in results)
    result = {
        "status": "completed",
        "mode": checked.mode,
        "changed": any(result.changed for result in results),
        "manifest": checked.manifest.model_dump(mode="json", by_alias=True),
        "results": stored.model_dump(mode="json", by_alias=True),
        "lines": len(results),
        "outcomes": dict(sorted(outcomes.items())),
    }
    return CompletedBulk(result=result)


def _results(bucket: DataBucket, found: MapResults) -> Iterator[LineResult]:
    """The results that the children of the Map returned.

    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
    """
    manifest = json.loads(bucket.read(found.key))
    for file in manifest["ResultFiles"]["SUCCEEDED"]:
        for text in bucket.read(file["Key"]).decode().split("\n"):
            if text:
                yield LineResult.model_validate_json(text)
