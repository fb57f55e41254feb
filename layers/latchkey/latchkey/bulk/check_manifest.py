"""Checks a whole manifest before the first of its requests is carried out, and stores one execution input for each line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from latchkey.aws.data_bucket import JSON, JSON_LINES, DataBucket, StoredVersion
from latchkey.bulk.lines import FOLDER, REQUESTS, CheckedManifest, RequestLine
from latchkey.bulk.manifest import MOST_BYTES, Line, parse_manifest
from latchkey.errors import AccessDenied, Conflict, InvalidRequest, Problem
from latchkey.events.outcomes import StoredObject
from latchkey.registry import Registry
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.incoming import NOTHING, incoming
from latchkey.requests.lifecycle import MANIFESTS, BulkOnboardingRequested
from latchkey.requests.models import ONBOARDING_REQUESTED, is_request_id
from latchkey.requests.sender import Sender

_SUMMARY = "summary.json"
# A line that is planned has a request ID of its own, so that the same manifest can be applied after its plan.
_PLANNED = ".plan"
_LONGEST_ID = 128


class CheckManifestInput(ExecutionInput):
    """The input of an execution, and the ARN of the first execution of the request."""

    execution_arn: str


def check_manifest(event: CheckManifestInput, registry: Registry, bucket: DataBucket) -> CheckedManifest:
    """Claims the request id, reads the manifest, and stores its requests. Raises InvalidRequest if it is rejected whole.

    A resumed request uses what its first execution stored: the manifest can have another version by now.
    """
    problems = {*event.problems}
    try:
        registry.requests.claim(event.ref, event.execution_arn)
    except Conflict as error:
        raise InvalidRequest({*problems, Problem("requestId", str(error))}) from None
    if problems or not isinstance(event.asked, BulkOnboardingRequested):
        raise InvalidRequest(problems)
    folder = f"{FOLDER}{event.execution_arn.rpartition(':')[2]}/"
    if stored := bucket.find(f"{folder}{_SUMMARY}"):
        return CheckedManifest.model_validate_json(stored.read())
    return _store(event, event.asked, folder, bucket)


def _store(event: CheckManifestInput, asked: BulkOnboardingRequested, folder: str, bucket: DataBucket) -> CheckedManifest:
    key = asked.manifest.key
    if not key.startswith(MANIFESTS):
        raise InvalidRequest([Problem("manifest.key", f"must begin with {MANIFESTS}")])
    read = _manifest(bucket, key, asked.manifest.version_id)
    requests = [*request_lines(event, asked.mode == "plan", parse_manifest(key, read.read()))]
    text = "".join(f"{request.model_dump_json(by_alias=True)}\n" for request in requests)
    version = bucket.write(f"{folder}{REQUESTS}", text.encode(), JSON_LINES)
    checked = CheckedManifest(
        manifest=StoredObject(bucket=bucket.name, key=key, versionId=read.version_id),
        mode=asked.mode,
        folder=folder,
        requests=StoredObject(bucket=bucket.name, key=f"{folder}{REQUESTS}", versionId=version),
        lines=len(requests),
    )
    bucket.write(f"{folder}{_SUMMARY}", checked.model_dump_json(by_alias=True).encode(), JSON)
    return checked


def _manifest(bucket: DataBucket, key: str, version_id: str | None) -> StoredVersion:
    """The version of a manifest. Raises InvalidRequest unless it can be read and has at most MOST_BYTES."""
    try:
        found = bucket.find(key, version_id)
    except AccessDenied:
        raise InvalidRequest([Problem("manifest", "cannot be read: store it without a KMS key of your own")]) from None
    if found is None:
        raise InvalidRequest([Problem("manifest", "does not exist")])
    if found.size > MOST_BYTES:
        raise InvalidRequest([Problem("manifest", f"has more than {MOST_BYTES:,} bytes: divide it into several manifests")])
    return found


def request_lines(event: ExecutionInput, plans: bool, lines: list[Line]) -> Iterator[RequestLine]:
    """The requests of the lines, each with the input of its execution: the same as if its detail were sent as an event.

    A line with a problem is rejected by its own execution. The second line with a request ID, or for the same access, is
    rejected with the number of the first one.
    """
    sender, ids, accesses = Sender(event.tenant, event.sender_account), dict[str, int](), dict[str, int]()
    for line in lines:
        event_id = f"{event.event_id}.{line.number}"
        content = incoming(event_id, sender, ONBOARDING_REQUESTED, _detail(event.request_id, line, plans), _no_record)
        problems = (line.problem,) if line.problem else content.problems
        if first := ids.setdefault(content.request_id, line.number) - line.number:
            # Its ID belongs to the other line, so its rejection is recorded under the ID of its event.
            problems = (*problems, Problem("requestId", f"is that of line {line.number + first} as well"))
            content = content.model_copy(update={"request_id": event_id})
        if content.access_id is not None and (first := accesses.setdefault(content.access_id, line.number) - line.number):
            problems = (*problems, Problem("resource", f"is that of line {line.number + first} as well"))
        changes = NOTHING | {"problems": problems} if problems else {}
        yield RequestLine(line=line.number, content=content.model_copy(update=changes))


def _detail(request_id: str, line: Line, plans: bool) -> object:
    """The detail of the request of a line, with a request ID. A line that is no object has none."""
    if line.detail is None:
        # The hash of the content makes the rejections of different lines different requests.
        return {"requestId": _line_id(request_id, line.number), "line": line.number}
    own = line.detail.get("requestId", _line_id(request_id, line.number))
    if not plans:
        return {**line.detail, "requestId": own}
    longest = _LONGEST_ID - len(_PLANNED)
    planned = f"{own}{_PLANNED}" if is_request_id(own) and len(own) <= longest else own
    return {**line.detail, "mode": "plan", "requestId": planned}


def _line_id(request_id: str, number: int) -> str:
    """The request ID of a line that has none."""
    if len(request_id) > _LONGEST_ID - 12:
        request_id = hashlib.sha256(request_id.encode()).hexdigest()
    return f"{request_id}.{number}"


def _no_record(_access_id: str) -> None:
    """An onboarding request is about no recorded access."""
    return
