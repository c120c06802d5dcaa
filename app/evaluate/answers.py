"""Asking services to rank the candidates of a dataset, and their answers."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.progress import Progress

from app.batch.inputs import Inputs
from app.batch.job import Job
from app.batch.journal import Journal
from app.batch.jsonl import encode_line
from app.batch.outputs import Outputs
from app.batch.source import Request
from app.client import AsyncReranker, Result, Results
from app.evaluate.dataset import Dataset

# The service gives up on a request sooner, and says why.
_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class Service:
    """A reranker to evaluate; `key` is told to no other."""

    name: str
    url: str | None
    model: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Answer:
    """Scores of a query's candidates by document id, best first, and what they took.

    `tokens` are those that the service says it read, None if it does not say.
    """

    scores: dict[str, float]
    seconds: float
    tokens: int | None


@dataclass(frozen=True)
class Answers:
    """What a service made of a dataset: answers by query id, and errors by the id of the others."""

    service: str
    by_query: dict[str, Answer]
    failed: dict[str, str]


class _TimedResults(Results):
    """Results, and the seconds they took."""

    seconds: float


class _TimedClient(AsyncReranker):
    """A client that tells how long its answers took; its scores are `scale` ones."""

    scale: str | None = None

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        top_n: int | None = None,
        instruction: str | None = None,
        *,
        split: bool = False,
        scores: str | None = None,
        partial: bool = False,
    ) -> _TimedResults:
        """See `Reranker.rerank`."""
        start = time.perf_counter()
        results = await super().rerank(
            query,
            documents,
            top_n,
            instruction,
            split=split,
            scores=scores or self.scale,
            partial=partial,
        )
        timed = _TimedResults(results)
        timed.seconds = time.perf_counter() - start
        timed.total_tokens = results.total_tokens
        return timed


@dataclass(frozen=True)
class Asking:
    """How services are asked: requests at a time, seconds to wait for one that is down.

    Answers are kept in `folder`, where the next run goes on, unless it is to `restart`. Scores are
    `unit`, `raw`, …, None being the service's own.
    """

    folder: Path
    in_flight: int = 1
    patience: float = 300.0
    restart: bool = False
    scores: str | None = None

    def ask(self, service: Service, dataset: Dataset, progress: Progress) -> Answers:
        """Let `service` rank every query's candidates.

        Raises `BatchError` and `RerankerError` as `batch` does.
        """
        outputs = Outputs(self.folder / f"{service.name}.jsonl")
        outputs.check(dataset.files.values())
        client = _TimedClient(service.url, service.model, service.key, timeout=_TIMEOUT_SECONDS)
        client.scale = self.scores
        job_is = {"service": client.url, "dataset": _digest(dataset)}
        job_is |= {"scores": self.scores} if self.scores else {}
        with Journal(outputs, job_is, restart=self.restart) as journal:
            job = Job(
                dataset, Inputs(dataset.files), client, _encode, journal, progress, self.patience
            )
            asyncio.run(job.run(self.in_flight))
            answers = {record.pop("id"): Answer(**record) for record in _read(outputs.answers)}
            failed = {record["id"]: record["error"] for record in _read(outputs.failures)}
        return Answers(service.name, answers, failed)


def _encode(request: Request, results: Sequence[Result]) -> bytes:
    assert isinstance(results, _TimedResults)
    assert request.document_ids is not None
    scores = {request.document_ids[result.index]: result.relevance_score for result in results}
    timing = {"seconds": results.seconds, "tokens": results.total_tokens}
    return encode_line({"id": request.id, "scores": scores} | timing)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        yield from map(orjson.loads, file)


def _digest(dataset: Dataset) -> str:
    """The SHA-256 of what services are asked."""
    sha256 = hashlib.sha256()
    for entry in dataset:
        request = dataset.request(entry)
        sha256.update(repr((request.id, request.query, request.documents)).encode())
    return sha256.hexdigest()
