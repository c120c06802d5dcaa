"""The rerank API of Mixedbread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import Field, model_validator
from typing_extensions import NotRequired, TypedDict

from app.dialects import dialect
from app.dialects.dialect import Ranked
from app.dialects.fields import (
    EXAMPLE_QUERY,
    EXAMPLE_TEXTS,
    Query,
    RankFields,
    Texts,
    TopN,
    join_rank_fields,
    only,
    shown,
)
from app.dialects.jina import Usage
from app.errors import Problem
from models.rerank import Task

NAME = "Mixedbread"
PATHS: Sequence[str] = ("/v1/reranking", "/v1/rerank", "/reranking", "/rerank")
DOCUMENTS: Sequence[str] = ("input",)

_AS_IT_IS = only(False, otherwise="a query is ranked as it is; leave it out, or send false")


class MixedbreadBody(dialect.Body):
    """A query and the input to rank."""

    model_config = shown(query=EXAMPLE_QUERY, input=EXAMPLE_TEXTS)

    model: str | None = Field(None, description="accepted for compatibility; one model is served")
    query: Query
    input: Texts
    top_k: TopN | None = Field(None, description="results to return; absent, null or 0: all")
    return_input: bool | None = False
    rank_fields: RankFields | None = Field(None, description="fields of input that are objects")
    rewrite_query: Annotated[bool | None, _AS_IT_IS] = Field(None, description="only false")

    @model_validator(mode="before")
    @classmethod
    def _join_rank_fields(cls, body: Any) -> Any:
        return join_rank_fields(body, "input")

    def task(self) -> Task:
        """See `dialect.Body.task`."""
        return Task(self.query, self.input)

    def most(self) -> int | None:
        """See `dialect.Body.most`."""
        return self.top_k


class MixedbreadResult(TypedDict):
    """One item's place; `index` is its position in the request, `input` its text."""

    index: int
    score: float
    input: NotRequired[str]
    object: Literal["rank_result"]


class MixedbreadAnswer(TypedDict):
    """Results, most relevant first."""

    object: Literal["list"]
    model: str
    data: list[MixedbreadResult]
    usage: Usage
    top_k: int
    return_input: bool


class MixedbreadError(TypedDict):
    """What is wrong and what to do."""

    detail: str


Body: type[dialect.Body] = MixedbreadBody
Answer = MixedbreadAnswer
Error = MixedbreadError


def speaks(request: Request, body: Mapping[str, Any]) -> bool:
    """See `Dialect.speaks`."""
    return "input" in body


def error(problem: Problem) -> MixedbreadError:
    """See `Dialect.error`."""
    return {"detail": problem.detail}


def answer(ranked: Ranked[MixedbreadBody]) -> MixedbreadAnswer:
    """See `Dialect.answer`."""
    body = ranked.body
    data: list[MixedbreadResult] = [
        {"index": index, "score": score, "object": "rank_result"}
        for index, score in ranked.best_first()
    ]
    if body.return_input:
        for result in data:
            result["input"] = body.input[result["index"]]
    return {
        "object": "list",
        "model": ranked.card.name,
        "data": data,
        "usage": {"prompt_tokens": ranked.tokens, "total_tokens": ranked.tokens},
        "top_k": len(data),
        "return_input": bool(body.return_input),
    }
