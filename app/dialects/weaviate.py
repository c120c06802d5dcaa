"""The API of Weaviate's reranker-transformers, which Weaviate asks for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Request
from pydantic import Field
from typing_extensions import TypedDict

from app.dialects import dialect
from app.dialects.dialect import Ranked
from app.dialects.fields import (
    EXAMPLE_QUERY,
    EXAMPLE_TEXTS,
    NO_MIN_SCORE,
    NOT_PARTIAL,
    Query,
    Score,
    Texts,
    shown,
)
from app.errors import Problem
from models.rerank import Task

NAME = "Weaviate"
PATHS: Sequence[str] = ("/rerank",)
DOCUMENTS: Sequence[str] = ("documents",)


class WeaviateBody(dialect.Body):
    """A query and the documents to rank."""

    model_config = shown(query=EXAMPLE_QUERY, documents=EXAMPLE_TEXTS, property="text")

    query: Query
    documents: Texts
    property: str | None = Field(None, description="accepted; tells this dialect from others")
    min_score: Annotated[Score | None, NO_MIN_SCORE] = None
    partial: Annotated[bool | None, NOT_PARTIAL] = False

    def task(self) -> Task:
        """See `dialect.Body.task`."""
        return Task(self.query, self.documents)


class DocumentScore(TypedDict):
    """A document and its score."""

    document: str
    score: float


class WeaviateAnswer(TypedDict):
    """The query and the scores, in the order of the request."""

    query: str
    scores: list[DocumentScore]


class WeaviateError(TypedDict):
    """What is wrong and what to do."""

    error: str


Body: type[dialect.Body] = WeaviateBody
Answer = WeaviateAnswer
Error = WeaviateError


def speaks(request: Request, body: Mapping[str, Any]) -> bool:
    """See `Dialect.speaks`."""
    return "property" in body


def error(problem: Problem) -> WeaviateError:
    """See `Dialect.error`."""
    return {"error": problem.detail}


def answer(ranked: Ranked[WeaviateBody]) -> WeaviateAnswer:
    """See `Dialect.answer`."""
    scored = zip(ranked.body.documents, ranked.in_order(), strict=True)
    return {
        "query": ranked.body.query,
        "scores": [{"document": document, "score": score} for document, score in scored],
    }
