"""Where requests come from."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast


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

    @property
    def files(self) -> Mapping[str, Path]:
        """The files read, by what they are."""

    def __len__(self) -> int:
        """How many entries there are."""

    def __iter__(self) -> Iterator[Entry]:
        """The entries in the order of the input, read one by one."""

    def request(self, entry: Entry) -> Request:
        """What `entry` asks for; raises `BadEntry`."""

    def failure(self, entry: Entry, error: str) -> dict[str, Any]:
        """What is kept of an entry that failed: its line, the error, and all that it held."""


def open_file(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked if its name ends in .gz."""
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def digest(path: Path) -> str:
    """The SHA-256 of a file's content."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            sha256.update(chunk)
    return sha256.hexdigest()
