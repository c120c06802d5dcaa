"""The rerank API of ZeroEntropy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fastapi import Request
from pydantic import Field
from typing_extensions import TypedDict

from app.dialects import dialect
from app.dialects.dialect import Ranked
from app.dialects.fields import EXAMPLE_QUERY, EXAMPLE_TEXTS, Query, Texts, TopN, shown
from app.errors import Problem
from models.rerank import Task

NAME = "ZeroEntropy"
PATHS: Sequence[str] = ("/v1/models/rerank", "/models/rerank")
DOCUMENTS: Sequence[str] = ("documents",)


class ZeroEntropyBody(dialect.Body):
    """A query and the documents to rank."""

    model_config = shown(query=EXAMPLE_QUERY, documents=EXAMPLE_TEXTS)

    promised = "unit"

    model: str | None = Field(None, description="accepted for compatibility; one model is served")
    query: Query
    documents: Texts
    top_n: TopN | None = Field(None, description="results to return; absent, null or 0: all")
    latency: Literal["fast", "slow"] | None = Field(
        None, description="accepted for compatibility; there is one speed"
    )

    def task(self) -> Task:
        """See `dialect.Body.task`."""
        return Task(self.query, self.documents)

    def most(self) -> int | None:
        """See `dialect.Body.most`."""
        return self.top_n


class ZeroEntropyResult(TypedDict):
    """One document's place; `index` is its position in the request."""

    index: int
    relevance_score: float


class ZeroEntropyAnswer(TypedDict):
    """Results, most relevant first; latencies are seconds, in all and in the model."""

    results: list[ZeroEntropyResult]
    actual_latency_mode: Literal["fast", "slow"]
    e2e_latency: float
    inference_latency: float
    total_bytes: int
    total_tokens: int


class ZeroEntropyError(TypedDict):
    """What is wrong and what to do."""

    detail: str


Body: type[dialect.Body] = ZeroEntropyBody
Answer = ZeroEntropyAnswer
Error = ZeroEntropyError


def speaks(request: Request, body: Mapping[str, Any]) -> bool:
    """See `Dialect.speaks`."""
    return True


def error(problem: Problem) -> ZeroEntropyError:
    """See `Dialect.error`."""
    return {"detail": problem.detail}


def answer(ranked: Ranked[ZeroEntropyBody]) -> ZeroEntropyAnswer:
    """See `Dialect.answer`."""
    texts = [ranked.body.query, *ranked.body.documents]
    timings = ranked.ranking.timings
    return {
        "results": [{"index": i, "relevance_score": score} for i, score in ranked.best_first()],
        "actual_latency_mode": ranked.body.latency or "fast",
        "e2e_latency": sum(seconds for _, seconds in timings.items()),
        "inference_latency": timings.model,
        "total_bytes": sum(len(text.encode()) for text in texts),
        "total_tokens": ranked.tokens,
    }
