"""A record of a chain of audit records, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChainHead:
    """The number and the hash of the last record of a chain."""

    number: int
    hash: str


# The head before the first record.
EMPTY = ChainHead(0, "0" * 64)


@dataclass(frozen=True)
class ChainedRecord:
    """A record in its chain. `source` identifies the change that the record is about.

    `text` is its canonical JSON, which includes the hash of the previous record, and `hash` is the hash of the text.
    """

    source: str
    number: int
    hash: str
    text: str

    @property
    def head(self) -> ChainHead:
        """The head of the chain that ends with this record."""
        return ChainHead(self.number, self.hash)
