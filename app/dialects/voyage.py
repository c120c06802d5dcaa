"""The rerank API of Voyage AI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fastapi import Request
from pydantic import Field
from typing_extensions import NotRequired, TypedDict

from app.dialects import dialect
from app.dialects.dialect import Ranked
from app.dialects.fields import EXAMPLE_QUERY, EXAMPLE_TEXTS, Query, Texts, TopN, shown
from app.errors import Problem
from models.rerank import Task

NAME = "Voyage"
PATHS: Sequence[str] = ("/rerank", "/v1/rerank")
DOCUMENTS: Sequence[str] = ("documents",)


class VoyageBody(dialect.Body):
    """A query and the documents to rank."""

    model_config = shown(query=EXAMPLE_QUERY, documents=EXAMPLE_TEXTS, top_k=2)

    model: str | None = Field(None, description="accepted for compatibility; one model is served")
    query: Query
    documents: Texts
    top_k: TopN | None = Field(None, description="results to return; absent, null or 0: all")
    return_documents: bool | None = False
    truncation: bool | None = Field(
        None, description="false: a document that is too long is an error"
    )

    def task(self) -> Task:
        """See `dialect.Body.task`."""
        return Task(self.query, self.documents, may_cut=self.truncation is not False)

    def most(self) -> int | None:
        """See `dialect.Body.most`."""
        return self.top_k


class VoyageResult(TypedDict):
    """One document's place; `index` is its position in the request."""

    index: int
    relevance_score: float
    document: NotRequired[str]


class VoyageUsage(TypedDict):
    """Tokens the model read."""

    total_tokens: int


class VoyageAnswer(TypedDict):
    """Results, most relevant first."""

    object: Literal["list"]
    data: list[VoyageResult]
    model: str
    usage: VoyageUsage


class VoyageError(TypedDict):
    """What is wrong and what to do."""

    detail: str


Body: type[dialect.Body] = VoyageBody
Answer = VoyageAnswer
Error = VoyageError


def speaks(request: Request, body: Mapping[str, Any]) -> bool:
    """See `Dialect.speaks`."""
    return "documents" in body and ("top_k" in body or "truncation" in body)


def error(problem: Problem) -> VoyageError:
    """See `Dialect.error`."""
    return {"detail": problem.detail}


def answer(ranked: Ranked[VoyageBody]) -> VoyageAnswer:
    """See `Dialect.answer`."""
    data: list[VoyageResult] = [
        {"index": index, "relevance_score": score} for index, score in ranked.best_first()
    ]
    if ranked.body.return_documents:
        for result in data:
            result["document"] = ranked.body.documents[result["index"]]
    return {
        "object": "list",
        "data": data,
        "model": ranked.card.name,
        "usage": {"total_tokens": ranked.tokens},
    }
