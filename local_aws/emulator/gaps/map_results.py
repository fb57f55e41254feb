"""The results of a distributed Map state, and their export to S3.

https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ministack.services import s3, stepfunctions

from local_aws.emulator.gaps import machine_roles
from local_aws.emulator.gaps.map_items import PAYLOAD_BYTES, Fields

# The permissions of the documented policy for an export.
_ACTIONS = ("s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload")
_FILES = {"SUCCEEDED": "SUCCEEDED", "FAILED": "FAILED", "TIMED_OUT": "FAILED", "ABORTED": "FAILED", "RUNNING": "PENDING"}


@dataclass(frozen=True)
class Writer:
    """Where and in which form the results go. Without a bucket, they are the result of the state."""

    bucket: str
    prefix: str
    transformation: str
    output_type: str

    def write(self, run_arn: str, run_id: str, children: Sequence[dict[str, Any] | None]) -> Any:
        """Returns the result of the state. Raises States.ResultWriterFailed or, without an export, States.DataLimitExceeded."""
        started = [child for child in children if child]
        if self.bucket:
            return self._export(run_arn, run_id, started)
        results = list(self._records(child for child in started if child["status"] == "SUCCEEDED"))
        if len(json.dumps(results).encode()) > PAYLOAD_BYTES:
            text = "The state/task 'Map' returned a result with a size exceeding the maximum number of bytes service limit."
            raise stepfunctions._ExecutionError("States.DataLimitExceeded", text)
        return results

    def _export(self, run_arn: str, run_id: str, children: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Writes one file for each status, and the manifest that names them."""
        folder = "/".join(part for part in (self.prefix.rstrip("/"), run_id) if part)
        files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
        for name, listed in files.items():
            chosen = [child for child in children if _FILES[child["status"]] == name]
            if chosen:
                key = f"{folder}/{name}_0.{self.output_type.lower()}"
                listed.append({"Key": key, "Size": self._put(key, self._text(list(self._records(chosen))))})
        manifest = {"DestinationBucket": self.bucket, "MapRunArn": run_arn, "ResultFiles": files}
        self._put(f"{folder}/manifest.json", json.dumps(manifest))
        return {"MapRunArn": run_arn, "ResultWriterDetails": {"Bucket": self.bucket, "Key": f"{folder}/manifest.json"}}

    def _records(self, children: Any) -> Iterator[Any]:
        for child in children:
            if self.transformation == "NONE" or child["status"] != "SUCCEEDED":
                yield _record(child)
                continue
            output = json.loads(child["output"])
            if self.transformation == "FLATTEN" and isinstance(output, list):
                yield from output
            else:
                yield output

    def _text(self, records: list[Any]) -> str:
        if self.output_type == "JSONL":
            return "".join(f"{json.dumps(record)}\n" for record in records)
        return json.dumps(records)

    def _put(self, key: str, text: str) -> int:
        body = text.encode()
        resource = f"arn:aws:s3:::{self.bucket}/{key}"
        for action in _ACTIONS:
            try:
                machine_roles.require(action, resource)
            except stepfunctions._ExecutionError as denied:
                raise stepfunctions._ExecutionError("States.ResultWriterFailed", denied.cause) from None
        status, _, answer = s3._put_object(self.bucket, key, body, {})
        if status != 200:
            raise stepfunctions._ExecutionError("States.ResultWriterFailed", bytes(answer).decode())
        return len(body)


def writer_of(fields: Fields) -> Writer:
    """Returns the ResultWriter of a state. By default, only an export has the metadata of children."""
    given = fields.evaluate(fields.state.get("ResultWriter") or {})
    arguments, config = given.get("Arguments") or {}, given.get("WriterConfig") or {}
    exported = "Resource" in given
    return Writer(
        bucket=str(arguments["Bucket"]) if exported else "",
        prefix=str(arguments.get("Prefix", "")),
        transformation=config.get("Transformation", "NONE" if exported else "COMPACT"),
        output_type=config.get("OutputType", "JSON"),
    )


def _record(child: dict[str, Any]) -> dict[str, Any]:
    """A child with its metadata."""
    succeeded = child["status"] == "SUCCEEDED"
    found = {
        "ExecutionArn": child["executionArn"],
        "Input": child["input"],
        "InputDetails": {"Included": True},
        "Name": child["name"],
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE" if succeeded else "REDRIVABLE_BY_MAP_RUN",
        "StartDate": child["startDate"],
        "StateMachineArn": child["stateMachineArn"],
        "Status": child["status"],
        "StopDate": child["stopDate"],
    }
    if succeeded:
        return found | {"Output": child["output"], "OutputDetails": {"Included": True}}
    return found | {name.capitalize(): child[name] for name in ("error", "cause") if child.get(name)}
