"""Version 2 of Cohere's rerank API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from pydantic import Field
from typing_extensions import TypedDict

from app.dialects import dialect
from app.dialects.dialect import Ranked
from app.dialects.fields import EXAMPLE_QUERY, EXAMPLE_TEXTS, Query, Texts, Tokens, TopN, shown
from app.dialects.jina import Meta, meta
from app.errors import Problem
from models.rerank import Task

NAME = "Cohere, version 2"
PATHS: Sequence[str] = ("/v2/rerank",)
DOCUMENTS: Sequence[str] = ("documents",)


class CohereBody(dialect.Body):
    """A query and the documents to rank."""

    model_config = shown(query=EXAMPLE_QUERY, documents=EXAMPLE_TEXTS)

    model: str | None = Field(None, description="accepted for compatibility; one model is served")
    query: Query
    documents: Texts
    top_n: TopN | None = Field(None, description="results to return; absent, null or 0: all")
    max_tokens_per_doc: Tokens | None = Field(None, description="documents are cut to these tokens")

    def task(self) -> Task:
        """See `dialect.Body.task`."""
        return Task(self.query, self.documents, max_document_tokens=self.max_tokens_per_doc)

    def most(self) -> int | None:
        """See `dialect.Body.most`."""
        return self.top_n


class CohereResult(TypedDict):
    """One document's place; `index` is its position in the request."""

    index: int
    relevance_score: float


class CohereAnswer(TypedDict):
    """Results, most relevant first."""

    id: str
    results: list[CohereResult]
    meta: Meta


class CohereError(TypedDict):
    """What is wrong and what to do."""

    message: str


Body: type[dialect.Body] = CohereBody
Answer = CohereAnswer
Error = CohereError


def speaks(request: Request, body: Mapping[str, Any]) -> bool:
    """See `Dialect.speaks`."""
    return True


def error(problem: Problem) -> CohereError:
    """See `Dialect.error`."""
    return {"message": problem.detail}


def answer(ranked: Ranked[CohereBody]) -> CohereAnswer:
    """See `Dialect.answer`."""
    return {
        "id": ranked.request_id,
        "results": [{"index": i, "relevance_score": score} for i, score in ranked.best_first()],
        "meta": meta("2", ranked.ranking),
    }
