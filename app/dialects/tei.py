"""The rerank API of text-embeddings-inference (TEI)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Request
from pydantic import BeforeValidator, Field
from typing_extensions import NotRequired, TypedDict

from app.dialects import dialect
from app.dialects.dialect import Ranked
from app.dialects.fields import EXAMPLE_QUERY, EXAMPLE_TEXTS, Query, Side, Texts, TopN, shown
from app.errors import Problem
from app.scores import Scale, scale_of
from models.rerank import Task

NAME = "text-embeddings-inference"
PATHS: Sequence[str] = ("/rerank", "/reranking", "/v1/rerank", "/v1/reranking")
DOCUMENTS: Sequence[str] = ("texts",)

_KINDS = {429: "Overloaded", 503: "Unhealthy", 500: "Backend", 504: "Backend"}


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class TEIBody(dialect.Body):
    """A query and the texts to rank."""

    model_config = shown(query=EXAMPLE_QUERY, texts=EXAMPLE_TEXTS)

    promised = "unit"

    query: Query
    texts: Texts
    top_n: TopN | None = Field(None, description="results to return; absent, null or 0: all")
    return_text: bool | None = False
    raw_scores: bool | None = Field(
        None, description="raw scores of the model; false: scores from 0 to 1, as by default"
    )
    truncate: bool | None = Field(None, description="false: a text that is too long is an error")
    truncation_direction: Annotated[Side, BeforeValidator(_lower)] = Field(
        "right", description="the side of a long text that is left away; else right"
    )

    def task(self) -> Task:
        """See `dialect.Body.task`."""
        keep_end = self.truncation_direction == "left"
        return Task(self.query, self.texts, may_cut=self.truncate is not False, keep_end=keep_end)

    def most(self) -> int | None:
        """See `dialect.Body.most`."""
        return self.top_n

    def scale(self) -> Scale | None:
        """See `dialect.Body.scale`."""
        return self.scores or scale_of(self.raw_scores)


class Rank(TypedDict):
    """One text's score; `index` is its position in the request."""

    index: int
    score: float
    text: NotRequired[str]


class TEIError(TypedDict):
    """What is wrong and what to do, and the kind of error that TEI would call it."""

    error: str
    error_type: str


Body: type[dialect.Body] = TEIBody
Answer = list[Rank]
Error = TEIError


def speaks(request: Request, body: Mapping[str, Any]) -> bool:
    """See `Dialect.speaks`."""
    return "texts" in body


def error(problem: Problem) -> TEIError:
    """See `Dialect.error`."""
    return {"error": problem.detail, "error_type": _KINDS.get(problem.status, "Validation")}


def answer(ranked: Ranked[TEIBody]) -> list[Rank]:
    """See `Dialect.answer`."""
    ranks: list[Rank] = [{"index": i, "score": score} for i, score in ranked.best_first()]
    if ranked.body.return_text:
        for rank in ranks:
            rank["text"] = ranked.body.texts[rank["index"]]
    return ranks
