"""The items of a distributed Map state in JSONata, and the inputs of its children.

https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemselector.html
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ministack.services import s3, stepfunctions

from local_aws.emulator.gaps import machine_roles

PAYLOAD_BYTES = 262_144


@dataclass(frozen=True)
class Fields:
    """The fields of a state, each of which can be a JSONata expression."""

    state: dict[str, Any]
    raw_input: Any
    ctx: dict[str, Any]

    def evaluate(self, template: Any, ctx: dict[str, Any] | None = None) -> Any:
        return stepfunctions._apply_jsonata_template(template, self.raw_input, ctx or self.ctx)

    def number(self, name: str) -> float | None:
        if name not in self.state:
            return None
        value: float = stepfunctions._jsonata_state_field(self.state, name, "number", self.raw_input, self.ctx)
        return value


def read(fields: Fields, effective: Any) -> list[Any]:
    """Returns the items: those of the ItemReader or of Items, or the input of the state."""
    state = fields.state
    if "ItemReader" in state:
        items = list(_read_from_s3(fields.evaluate(state["ItemReader"])))
    elif "Items" in state:
        items = fields.evaluate(state["Items"])
    else:
        items = effective
    if not isinstance(items, list):
        raise stepfunctions._ExecutionError("States.QueryEvaluationError", "The items must be an array.")
    return items


def inputs(fields: Fields, items: list[Any]) -> list[tuple[Any, int]]:
    """Returns the input of each child with its number of items. An input has at most 256 KiB."""
    if "ItemSelector" in fields.state:
        contexts = [fields.ctx | {"Map": {"Item": {"Index": index, "Value": item}}} for index, item in enumerate(items)]
        items = [fields.evaluate(fields.state["ItemSelector"], each) for each in contexts]
    found = list(_batches(fields, items)) if "ItemBatcher" in fields.state else [(item, 1) for item in items]
    for given, _ in found:
        if _size(given) > PAYLOAD_BYTES:
            text = "The input of a child workflow execution exceeds the maximum number of bytes service limit."
            raise stepfunctions._ExecutionError("States.DataLimitExceeded", text)
    return found


def _batches(fields: Fields, items: list[Any]) -> Iterator[tuple[Any, int]]:
    batcher = fields.evaluate(fields.state["ItemBatcher"])
    most, most_bytes = batcher.get("MaxItemsPerBatch"), batcher.get("MaxInputBytesPerBatch") or PAYLOAD_BYTES
    common = {"BatchInput": batcher["BatchInput"]} if "BatchInput" in batcher else {}
    batch: list[Any] = []
    for item in items:
        if batch and (len(batch) == most or _size(common | {"Items": [*batch, item]}) > most_bytes):
            yield common | {"Items": batch}, len(batch)
            batch = []
        batch.append(item)
    if batch:
        yield common | {"Items": batch}, len(batch)


def _read_from_s3(reader: dict[str, Any]) -> Iterator[Any]:
    """Yields the items of an object, or the objects of a bucket, that the role can read. Raises States.ItemReaderFailed."""
    arguments, config = reader.get("Arguments") or {}, reader.get("ReaderConfig") or {}
    bucket, key = str(arguments.get("Bucket")), str(arguments.get("Key"))
    try:
        if reader["Resource"] == "arn:aws:states:::s3:listObjectsV2":
            machine_roles.require("s3:ListBucket", f"arn:aws:s3:::{bucket}", {"s3:prefix": str(arguments.get("Prefix", ""))})
            items = stepfunctions._read_map_items(reader, None, {})
        else:
            machine_roles.require("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
            items = _parsed(_text(bucket, key), config)
    except (KeyError, TypeError, ValueError, stepfunctions._ExecutionError) as failed:
        cause = failed.cause if isinstance(failed, stepfunctions._ExecutionError) else f"{bucket}/{key}: {failed}"
        raise stepfunctions._ExecutionError("States.ItemReaderFailed", cause) from None
    yield from items[: config.get("MaxItems")]


def _text(bucket: str, key: str) -> str:
    status, _, body = s3._get_object(bucket, key, {}, {})
    if status != 200:
        raise ValueError("The specified key does not exist.")
    return bytes(body).decode("utf-8")


def _parsed(text: str, config: dict[str, Any]) -> list[Any]:
    """Returns the items of an object. Gap: lines of JSON end at every character that Unicode calls a line break."""
    if config.get("InputType") != "JSONL":
        parsed: list[Any] = stepfunctions._parse_reader_items(text, config)
        if not isinstance(parsed, list):
            raise ValueError("The object is not an array.")
        return parsed
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
