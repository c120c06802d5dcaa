"""Where requests come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Entry:
    """What one request is made of, as it stands in the input: a line, or a query's lines of a run.

    `number` counts entries from 0, `line` is the first line's number in the file, from 1.
    """

    number: int
    line: int
    text: str


@dataclass(frozen=True)
class Request:
    """A query and documents to rank, and the ids that the answer carries."""

    id: str | int
    query: str
    documents: Sequence[str]
    document_ids: Sequence[str] | None = None
    top_n: int | None = None
    instruction: str | None = None


class Source(Protocol):
    """The input of a job."""

    def __len__(self) -> int:
        """How many entries there are."""

    def __iter__(self) -> Iterator[Entry]:
        """The entries in the order of the input, read one by one."""

    def request(self, entry: Entry) -> Request:
        """What `entry` asks for; raises `BadEntry`."""

    def failure(self, entry: Entry, error: str) -> dict[str, Any]:
        """What is kept of an entry that failed: its line, the error, and all that it held."""
