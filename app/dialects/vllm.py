"""The score API of vLLM; its rerank API is that of Jina."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from app.dialects import dialect
from app.dialects.dialect import Ranked
from app.dialects.fields import (
    EXAMPLE_QUERY,
    EXAMPLE_TEXTS,
    NO_MIN_SCORE,
    NOT_PARTIAL,
    WHOLE_PROMPT,
    Query,
    Score,
    Side,
    Texts,
    shown,
)
from app.dialects.jina import Usage
from app.errors import Problem
from models.rerank import Task

NAME = "vLLM"
PATHS: Sequence[str] = ("/score", "/v1/score")

# Names of the queries and of the documents.
_NAMES = (
    ("text_1", "text_2"),
    ("queries", "documents"),
    ("queries", "items"),
    ("data_1", "data_2"),
)
DOCUMENTS: Sequence[str] = tuple(name for _, name in _NAMES)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _one(value: Any) -> Any:
    """The only query, or the same one for every document."""
    queries = _listed(value)
    if not queries or any(query != queries[0] for query in queries):
        raise PydanticCustomError(
            "queries", "must be one query for all documents; send others in requests of their own"
        )
    return queries[0]


_OneQuery = Annotated[Query, BeforeValidator(_one)]
_Listed = Annotated[Texts, BeforeValidator(_listed)]


class VLLMBody(dialect.Body):
    """A query and the documents to score: `text_1` and `text_2`, or `queries` and `documents`."""

    model_config = shown(text_1=EXAMPLE_QUERY, text_2=EXAMPLE_TEXTS)

    model: str | None = Field(None, description="accepted for compatibility; one model is served")
    text_1: _OneQuery = ""
    text_2: _Listed = Field(default_factory=list)
    queries: _OneQuery = ""
    documents: _Listed = Field(default_factory=list)
    items: _Listed = Field(default_factory=list)
    data_1: _OneQuery = ""
    data_2: _Listed = Field(default_factory=list)
    truncate_prompt_tokens: Annotated[int | None, WHOLE_PROMPT] = None
    truncation_side: Side | None = None
    min_score: Annotated[Score | None, NO_MIN_SCORE] = None
    partial: Annotated[bool | None, NOT_PARTIAL] = False

    @model_validator(mode="after")
    def _has_both(self) -> VLLMBody:
        self._pair()
        return self

    def _pair(self) -> tuple[str, list[str]]:
        """The query and the documents, however they are named."""
        for names in _NAMES:
            if self.model_fields_set.issuperset(names):
                query, documents = (getattr(self, name) for name in names)
                return query, documents
        raise PydanticCustomError("pair", "needs text_1 and text_2, or queries and documents")

    def task(self) -> Task:
        """See `dialect.Body.task`."""
        return Task(*self._pair(), keep_end=self.truncation_side == "left")


class VLLMScore(TypedDict):
    """A document's score; `index` is its position in the request."""

    index: int
    object: Literal["score"]
    score: float


class VLLMAnswer(TypedDict):
    """Scores, in the order of the request."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[VLLMScore]
    usage: Usage


class VLLMFault(TypedDict):
    """What is wrong and what to do, and its kind."""

    message: str
    type: str
    code: int


class VLLMError(TypedDict):
    """What is wrong."""

    error: VLLMFault


Body: type[dialect.Body] = VLLMBody
Answer = VLLMAnswer
Error = VLLMError


def speaks(request: Request, body: Mapping[str, Any]) -> bool:
    """See `Dialect.speaks`."""
    return True


def error(problem: Problem) -> VLLMError:
    """See `Dialect.error`."""
    kind = "BadRequestError" if problem.status < 500 else "InternalServerError"
    return {"error": {"message": problem.detail, "type": kind, "code": problem.status}}


def answer(ranked: Ranked[VLLMBody]) -> VLLMAnswer:
    """See `Dialect.answer`."""
    return {
        "id": ranked.request_id,
        "object": "list",
        "created": int(time.time()),
        "model": ranked.card.name,
        "data": [
            {"index": index, "object": "score", "score": score}
            for index, score in enumerate(ranked.in_order())
        ],
        "usage": {"prompt_tokens": ranked.tokens, "total_tokens": ranked.tokens},
    }
