"""Checks a whole manifest before the first of its requests is carried out, and stores one execution input for each line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from latchkey.aws.objects import Unreadable, read_object, write_object
from latchkey.bulk.lines import FOLDER, REQUESTS, CheckedManifest, RequestLine
from latchkey.bulk.manifest import MOST_BYTES, Line, parse_manifest
from latchkey.errors import Conflict, InvalidRequest, Problem
from latchkey.events.outcomes import StoredObject
from latchkey.registry import Registry
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.incoming import NOTHING, incoming
from latchkey.requests.lifecycle import MANIFESTS, BulkOnboardingRequested
from latchkey.requests.models import ONBOARDING_REQUESTED, is_request_id
from latchkey.requests.sender import Sender

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_SUMMARY = "summary.json"
# A line that is planned has a request ID of its own, so that the same manifest can be applied after its plan.
_PLANNED = ".plan"
_LONGEST_ID = 128
_MOST_SUMMARY_BYTES = 65_536


class CheckManifestInput(ExecutionInput):
    """The input of an execution, and the ARN of the first execution of the request."""

    execution_arn: str


def check_manifest(event: CheckManifestInput, registry: Registry, s3: S3Client, bucket: str) -> CheckedManifest:
    """Claims the request id, reads the manifest, and stores its requests. Raises InvalidRequest if it is rejected whole.

    A request that is carried on uses what its first execution stored: the manifest can have another version by now.
    """
    problems = {*event.problems}
    try:
        registry.requests.claim(event.ref, event.execution_arn)
    except Conflict as error:
        raise InvalidRequest({*problems, Problem("requestId", str(error))}) from None
    if problems or not isinstance(event.asked, BulkOnboardingRequested):
        raise InvalidRequest(problems)
    folder = f"{FOLDER}{event.execution_arn.rpartition(':')[2]}/"
    try:
        stored = read_object(s3, bucket, f"{folder}{_SUMMARY}", most_bytes=_MOST_SUMMARY_BYTES)
        return CheckedManifest.model_validate_json(stored.body)
    except Unreadable:
        return _store(event, event.asked, folder, s3, bucket)


def _store(
    event: CheckManifestInput, asked: BulkOnboardingRequested, folder: str, s3: S3Client, bucket: str
) -> CheckedManifest:
    key = asked.manifest.key
    if not key.startswith(MANIFESTS):
        raise InvalidRequest([Problem("manifest.key", f"must begin with {MANIFESTS}")])
    try:
        read = read_object(s3, bucket, key, version_id=asked.manifest.version_id, most_bytes=MOST_BYTES)
    except Unreadable as error:
        raise InvalidRequest([Problem("manifest", str(error))]) from None
    requests = [*request_lines(event, asked.mode == "plan", parse_manifest(key, read.body))]
    text = "".join(f"{request.model_dump_json(by_alias=True)}\n" for request in requests)
    version = write_object(s3, bucket, f"{folder}{REQUESTS}", text)
    checked = CheckedManifest(
        manifest=StoredObject(bucket=bucket, key=key, versionId=read.version_id),
        mode=asked.mode,
        folder=folder,
        requests=StoredObject(bucket=bucket, key=f"{folder}{REQUESTS}", versionId=version),
        lines=len(requests),
    )
    write_object(s3, bucket, f"{folder}{_SUMMARY}", checked.model_dump_json(by_alias=True), "application/json")
    return checked


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
