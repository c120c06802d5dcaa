"""Requests and answers as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from app.batch.errors import BadEntry
from app.batch.source import Entry, Request
from app.batch.text import open_text
from app.client import Results
from app.dialects.fields import Text, Texts


class _Line(BaseModel):
    model_config = ConfigDict(strict=True)

    id: str | int | None = None
    query: Text
    documents: Texts
    # As in the service, 0 means all.
    top_n: int | None = None
    instruction: str | None = None


class JSONLines:
    """The requests of a JSONL file, one a line; blank lines are skipped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._length = sum(1 for _ in self)

    def __len__(self) -> int:
        """Lines that are not blank."""
        return self._length

    def __iter__(self) -> Iterator[Entry]:
        """See `Source`."""
        number = 0
        with open_text(self._path) as file:
            for line, content in enumerate(file, 1):
                if content.strip():
                    # Bytes that are no UTF-8 stay visible in the failed line.
                    yield Entry(number, line, content.decode(errors="surrogateescape"))
                    number += 1

    def request(self, entry: Entry) -> Request:
        """See `Source`; without an id of its own a request has the number of its line."""
        try:
            line = _Line.model_validate_json(entry.text.encode(errors="surrogateescape"))
        except ValidationError as error:
            raise BadEntry(_describe(error)) from error
        return Request(
            id=entry.line if line.id is None else line.id,
            query=line.query,
            documents=line.documents,
            top_n=line.top_n or None,
            instruction=line.instruction,
        )

    def failure(self, entry: Entry, error: str) -> dict[str, Any]:
        """See `Source`; a line of JSON can be mended in place and be a request again."""
        failure = {"line": entry.line, "error": error}
        try:
            original = json.loads(entry.text)
        except (ValueError, RecursionError):
            original = None
        if isinstance(original, dict):
            return {"id": entry.line} | original | failure
        return failure | {"original": entry.text.rstrip("\r\n")}


def to_jsonl(request: Request, results: Results) -> bytes:
    """One line: the request's id, its results, best first, and which documents were cut."""
    ranks: list[dict[str, Any]] = [
        {"index": result.index, "relevance_score": result.relevance_score} for result in results
    ]
    if request.document_ids is not None:
        for rank in ranks:
            rank["document_id"] = request.document_ids[rank["index"]]
    answer: dict[str, Any] = {"id": request.id, "results": ranks}
    if results.truncated:
        answer["truncated"] = list(results.truncated)
    return encode_line(answer)


def encode_line(value: object) -> bytes:
    """JSON in one line, ASCII only: it holds whatever a broken input held."""
    return json.dumps(value).encode() + b"\n"


def _describe(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        field = ".".join(map(str, problem["loc"]))
        problems.append(f"{field}: {problem['msg']}" if field else problem["msg"])
    return "; ".join(problems)
