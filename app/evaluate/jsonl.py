"""Queries with documents and what is relevant of them, a line of JSON each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

from app.batch.text import open_text
from app.evaluate.dataset import DataError, Dataset, Query, checked


def read_jsonl(path: Path, depth: int) -> Dataset:
    """Each line is `{"query", "documents", "relevant"}`, of which the last may be absent.

    `relevant` holds indices of documents; as many numbers as documents are their grades.
    `created_at` may hold a time, or null, for each document, and `asked_at` that of the query,
    which is else that of the newest document. Raises `DataError`.
    """
    queries: list[Query] = []
    texts: dict[str, str] = {}
    known: set[str] = set()
    for line, record in records(path):
        place = f"{path}, line {line}"
        query, documents = record.get("query"), record.get("documents")
        if not isinstance(query, str) or not isinstance(documents, list) or not _texts(documents):
            raise DataError(f"{place}: query is a string and documents a list of strings")
        id = str(record.get("id", line))
        if id in known:
            raise DataError(f"{place}: the id {id} occurs twice")
        known.add(id)
        ids = [f"{id}/{index}" for index in range(len(documents))]
        grades = _grades(record.get("relevant", []), len(documents), place)
        texts.update(zip(ids, documents, strict=True))
        judgements = {ids[index]: grade for index, grade in grades.items()}
        times = _times(record.get("created_at"), len(documents), place)
        created_at = {id: time for id, time in zip(ids, times, strict=True) if time}
        asked_at = _time(record.get("asked_at"), place) or max(created_at.values(), default=None)
        queries.append(Query(id, query, ids[:depth], judgements, created_at, asked_at))
    return checked(Dataset(queries, texts, {"requests": path}))


def records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and content of each line that is not blank; raises `DataError`."""
    with open_text(path) as file:
        for line, content in enumerate(file, 1):
            if not content.strip():
                continue
            try:
                record = orjson.loads(content)
            except orjson.JSONDecodeError as error:
                raise DataError(f"{path}, line {line}: no JSON: {error}") from error
            if not isinstance(record, dict):
                raise DataError(f"{path}, line {line}: no JSON object")
            yield line, record


def _texts(documents: list[object]) -> bool:
    return bool(documents) and all(isinstance(text, str) for text in documents)


def _grades(relevant: object, documents: int, place: str) -> dict[int, int]:
    """Grade of each judged document, by index."""
    if isinstance(relevant, int) and not isinstance(relevant, bool):
        relevant = [relevant]
    if not isinstance(relevant, list) or not all(type(value) is int for value in relevant):
        raise DataError(f"{place}: relevant is a list of whole numbers")
    # Were they indices, every document would be relevant, and any order perfect.
    if len(relevant) == documents:
        return dict(enumerate(relevant))
    outside = [index for index in relevant if not 0 <= index < documents]
    if outside:
        raise DataError(
            f"{place}: relevant names {outside[0]}, but there are {documents} documents"
        )
    return {index: int(index in relevant) for index in range(documents)}


def _times(values: object, documents: int, place: str) -> list[datetime | None]:
    if values is None:
        return [None] * documents
    if not isinstance(values, list) or len(values) != documents:
        raise DataError(f"{place}: created_at is a list with a time, or null, for each document")
    return [_time(value, place) for value in values]


def _time(value: object, place: str) -> datetime | None:
    """A time as in 2026-11-01T09:00:00Z, in UTC where it names no zone."""
    if value is None:
        return None
    try:
        # Python 3.10 reads no Z.
        time = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        raise DataError(f"{place}: {value!r} is no time like 2026-11-01T09:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
