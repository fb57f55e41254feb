"""The pages of a discovery, which are objects in the data bucket: what each system lists, and what was found on each page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latchkey.aws.data_bucket import JSON, JSON_LINES, DataBucket
from latchkey.discovery.found import FoundResource
from latchkey.events.outcomes import Unread
from latchkey.wire import WireModel


class Position(WireModel):
    """Where a discovery continues: a system, and how many of its listed resources were read."""

    system: str
    read: int = 0


class SeenResource(WireModel):
    """A resource that was read: what identifies it for others that use its secret, and what the tenant is shown of it, if
    anything.
    """

    name: str
    secret_arn: str
    found: FoundResource | None


class Page(WireModel):
    """What was read of some resources of one system."""

    seen: tuple[SeenResource, ...] = ()
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True)
class Pages:
    """Reads and writes the objects of one discovery. Writing an object again replaces it."""

    bucket: DataBucket
    folder: str

    def list(self, system: str, members: Sequence[Mapping[str, Any]]) -> None:
        """Stores the resources of a system that use a secret, each as the member `resource` of a request."""
        lines = "".join(f"{json.dumps(one)}\n" for one in members)
        self.bucket.write(self._listed(system), lines.encode(), JSON_LINES)

    def listed(self, system: str) -> Sequence[dict[str, Any]]:
        """The resources that `list` has stored."""
        return [json.loads(line) for line in self.bucket.read(self._listed(system)).splitlines()]

    def write(self, position: Position, page: Page) -> None:
        """Stores the page that begins at a position."""
        self.bucket.write(self._page(position), page.model_dump_json(by_alias=True).encode(), JSON)

    def read(self, system: str, size: int) -> Iterator[Page]:
        """All pages of a system, which has at least one."""
        for read in range(0, max(len(self.listed(system)), 1), size):
            yield Page.model_validate_json(self.bucket.read(self._page(Position(system=system, read=read))))

    def _listed(self, system: str) -> str:
        return f"{self.folder}/listed/{system}.jsonl"

    def _page(self, position: Position) -> str:
        return f"{self.folder}/pages/{position.system}-{position.read}.json"
