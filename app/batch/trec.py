"""Runs and topics in the formats of TREC."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from app.batch.errors import BadEntry, BatchError
from app.batch.source import Entry, Request
from app.batch.text import open_text
from app.batch.texts import DuplicateId, Offsets, Texts
from app.client import Result

_TOPIC = re.compile(r"<top>(.*?)</top>", re.DOTALL)
_NUMBER = re.compile(r"<num>\s*(?:Number:)?\s*([^\s<]+)")
_TITLE = re.compile(r"<title>\s*(?:Topic:)?\s*([^<]+)")


class Run:
    """The requests of a run: each query with its documents, whose texts are in a collection."""

    def __init__(self, run: Path, collection: Path, topics: Path) -> None:
        self._path = run
        try:
            self._queries = Offsets((_query_id(entry.text), entry.line) for entry in self)
        except DuplicateId as error:
            raise BatchError(
                f"{run}: the lines of query {error} are not together; sort them: sort -s -k1,1"
            ) from error
        self._topics = read_topics(topics)
        self._collection = Texts(collection)

    def __len__(self) -> int:
        """Queries of the run."""
        return len(self._queries)

    def __iter__(self) -> Iterator[Entry]:
        """See `Source`."""
        with open_text(self._path) as file:
            decoded = (line.decode(errors="backslashreplace") for line in file)
            lines = ((number, line) for number, line in enumerate(decoded, 1) if line.strip())
            queries = groupby(lines, key=lambda line: _query_id(line[1]))
            for number, (_, group) in enumerate(queries):
                (first, text), *others = group
                yield Entry(number, first, "".join([text, *(line for _, line in others)]))

    def request(self, entry: Entry) -> Request:
        """See `Source`."""
        query = _query_id(entry.text)
        documents = [_document_id(line) for line in entry.text.rstrip("\n").split("\n")]
        if len(set(documents)) < len(documents):
            raise BadEntry(f"query {query} names a document twice")
        try:
            text = self._topics[query]
        except KeyError:
            raise BadEntry(f"query {query} is not in the topics") from None
        try:
            texts = [self._collection[document] for document in documents]
        except KeyError as error:
            raise BadEntry(f"document {error.args[0]} is not in the collection") from None
        return Request(query, text, texts, documents)

    def failure(self, entry: Entry, error: str) -> dict[str, Any]:
        """See `Source`; `original` is a piece of the run."""
        return {"line": entry.line, "error": error, "original": entry.text.rstrip("\n")}


def to_run(request: Request, results: Sequence[Result]) -> bytes:
    """Lines of a run; documents without ids are named by their index. Raises `BadEntry`."""
    id = str(request.id)
    if not id or id.split() != [id]:
        raise BadEntry(f"the id {id!r} is empty or holds a space, which a run cannot express")
    lines = []
    for rank, result in enumerate(results, 1):
        document = request.document_ids[result.index] if request.document_ids else result.index
        lines.append(f"{id} Q0 {document} {rank} {result.relevance_score!r} reranked\n")
    return "".join(lines).encode()


class Lookup(Protocol):
    """Texts by id."""

    def __getitem__(self, id: str, /) -> str:
        """The text of `id`; raises `KeyError`."""


def read_topics(path: Path) -> Lookup:
    """Queries by id: `qid<TAB>query`, JSONL, or TREC's `<top>`; raises `BatchError`."""
    with open_text(path) as file:
        start = file.tell()
        if not file.read(4096).lstrip().startswith(b"<"):
            return Texts(path)
        file.seek(start)
        try:
            topics = _TOPIC.findall(file.read().decode())
        except UnicodeDecodeError as error:
            raise BatchError(f"{path} is not UTF-8 at byte {error.start:,}") from error
    found = {}
    for topic in topics:
        number, title = _NUMBER.search(topic), _TITLE.search(topic)
        if not number or not title:
            raise BatchError(f"{path}: a <top> has no <num> or no <title>")
        found[number[1]] = " ".join(title[1].split())
    return found


def _query_id(lines: str) -> str:
    return lines.split(maxsplit=1)[0]


def _document_id(line: str) -> str:
    columns = line.split()
    if len(columns) != 6:
        raise BadEntry(f"not the six columns of a run, `query Q0 document rank score tag`: {line}")
    return columns[2]
