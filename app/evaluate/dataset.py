"""Queries, their candidate documents, and which of these are relevant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from app.batch.errors import BatchError
from app.batch.source import Entry, Request
from app.batch.trec import Lookup

# Grade of each judged document, by its id; above 0 is relevant.
Judgements = Mapping[str, int]


class DataError(BatchError):
    """The data cannot be used as they are; the message names file and line."""


@dataclass(frozen=True)
class Query:
    """A query with the ids of its candidates, as the first stage ordered them.

    Where documents have times, `created_at` has some of them by id, and it was asked at `asked_at`.
    """

    id: str
    text: str
    candidates: Sequence[str]
    judgements: Judgements
    created_at: Mapping[str, datetime] = field(default_factory=dict)
    asked_at: datetime | None = None

    @property
    def judged(self) -> bool:
        """Whether any document is known to be relevant: without one no measure is defined."""
        return any(grade > 0 for grade in self.judgements.values())


@dataclass(frozen=True)
class Dataset:
    """Queries, where the texts of their candidates are, and what should be known of both.

    A `Source` of the batch machinery: each query is a request.
    """

    queries: Sequence[Query]
    documents: Lookup
    files: Mapping[str, Path]
    remarks: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """How many queries there are."""
        return len(self.queries)

    @property
    def dated(self) -> bool:
        """Whether any document has a time."""
        return any(query.created_at for query in self.queries)

    def __iter__(self) -> Iterator[Entry]:
        """The queries, as entries of a job."""
        for number, query in enumerate(self.queries):
            yield Entry(number, number + 1, query.id)

    def request(self, entry: Entry) -> Request:
        """What a query asks of a service: all of its candidates."""
        query = self.queries[entry.number]
        texts = [self.documents[id] for id in query.candidates]
        return Request(query.id, query.text, texts, query.candidates)

    def failure(self, entry: Entry, error: str) -> dict[str, Any]:
        """What is kept of a query that a service could not answer."""
        return {"id": entry.text, "error": error}


def assemble(
    topics: Mapping[str, str],
    candidates: Mapping[str, Sequence[str]],
    judgements: Mapping[str, Judgements],
    documents: Lookup,
    files: Mapping[str, Path],
) -> Dataset:
    """A dataset of the queries in `topics` that have candidates.

    Raises `DataError` that names what is missing.
    """
    remarks = []
    _check_known(candidates, topics, "of the run", "in the queries")
    found = [id for id in topics if candidates.get(id)]
    without = [id for id in topics if not candidates.get(id) and judgements.get(id)]
    if without:
        remarks.append(f"{_some(without)}: judged, but without candidates, so left out")
    unknown = [id for id in judgements if id not in topics]
    if unknown:
        remarks.append(f"{_some(unknown)}: judged, but not in the queries, so left out")
    _check_texts(found, candidates, documents)
    queries = [Query(id, topics[id], candidates[id], judgements.get(id, {})) for id in found]
    return checked(Dataset(queries, documents, files, remarks))


def checked(dataset: Dataset) -> Dataset:
    """The dataset, with a remark on queries that no measure counts; `DataError` if it is empty."""
    if not dataset.queries:
        names = ", ".join(str(path) for path in dataset.files.values())
        raise DataError(f"no query with candidates in {names}")
    unjudged = [query.id for query in dataset.queries if not query.judged]
    if unjudged and len(unjudged) < len(dataset.queries):
        dataset.remarks.append(f"{_some(unjudged)}: no relevant document known, so not counted")
    return dataset


def _check_known(ids: Mapping[str, Any], known: Mapping[str, Any], whose: str, where: str) -> None:
    missing = [id for id in ids if id not in known]
    if missing:
        raise DataError(f"{_some(missing)} {whose} not {where}")


def _check_texts(
    found: Sequence[str], candidates: Mapping[str, Sequence[str]], documents: Lookup
) -> None:
    missing = {}
    for query in found:
        for id in candidates[query]:
            try:
                documents[id]
            except KeyError:
                missing[id] = query
    if missing:
        raise DataError(f"{_some(list(missing), 'document')} not in the collection")


def _some(ids: Sequence[str], noun: str = "query") -> str:
    """A few of the ids, and how many there are."""
    plural = {"query": "queries"}.get(noun, f"{noun}s")
    shown = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
    return f"{len(ids):,} {noun if len(ids) == 1 else plural} ({shown})"
