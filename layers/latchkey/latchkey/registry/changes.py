"""Changes of items of the registry, as the stream of its table delivers them.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from boto3.dynamodb.types import TypeDeserializer
from pydantic import BaseModel, ConfigDict, Field

_deserialize = TypeDeserializer().deserialize

type _Image = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class ItemChange:
    """One change of an item: its attributes `before` and `after`, which are empty if the item did not exist.

    `event_id` is the same in each delivery of the change, and no other change has it. `at` is exact to the second.
    """

    event_id: str
    at: datetime
    kind: str
    item_id: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def is_removal(self) -> bool:
        """Whether the item was deleted."""
        return not self.after


class _Images(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    created: Annotated[float, Field(alias="ApproximateCreationDateTime")]
    keys: Annotated[_Image, Field(alias="Keys")]
    old: Annotated[_Image, Field(alias="OldImage")] = {}
    new: Annotated[_Image, Field(alias="NewImage")] = {}


class StreamRecord(BaseModel):
    """A record of the stream. `eventSourceARN` ends with the time when the stream was enabled."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    event_id: Annotated[str, Field(alias="eventID")]
    stream_arn: Annotated[str, Field(alias="eventSourceARN")]
    images: Annotated[_Images, Field(alias="dynamodb")]

    @property
    def change(self) -> ItemChange:
        """The change that the record describes."""
        key, old, new = (_plain(image) for image in (self.images.keys, self.images.old, self.images.new))
        at = datetime.fromtimestamp(int(self.images.created), UTC)
        return ItemChange(self.event_id, at, key["kind"], key["id"], old, new)

    @property
    def enabled(self) -> str:
        """When the stream was enabled, as text: earlier changes are in no stream."""
        return self.stream_arn.rpartition("/stream/")[2]


def _plain(image: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json_value(_deserialize(value)) for name, value in image.items()}


def _json_value(value: Any) -> Any:
    """A value of DynamoDB as JSON can contain it: sets are sorted lists, and numbers are int or float."""
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, set | frozenset):
        return sorted(_json_value(one) for one in value)
    if isinstance(value, list):
        return [_json_value(one) for one in value]
    if isinstance(value, dict):
        return {name: _json_value(one) for name, one in value.items()}
    return value
