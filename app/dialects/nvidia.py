"""The ranking API of NVIDIA NIM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Request
from pydantic import Field
from typing_extensions import TypedDict

from app.dialects import dialect
from app.dialects.dialect import Ranked
from app.dialects.fields import EXAMPLE_QUERY, EXAMPLE_TEXTS, Query, Texts, TopN, only, shown
from app.errors import Problem
from models.rerank import Task

NAME = "NVIDIA NIM"
PATHS: Sequence[str] = (
    "/v1/ranking",
    "/ranking",
    "/v1/reranking",
    "/reranking",
    "/v1/retrieval/{model:path}/reranking",
)
DOCUMENTS: Sequence[str] = ("passages",)

_TRUNCATE = only("NONE", "END", otherwise="passages are cut at their end: send END, or NONE")


class NVIDIABody(dialect.Body):
    """A query and the passages to rank."""

    model_config = shown(query=EXAMPLE_QUERY, passages=EXAMPLE_TEXTS)

    promised = "raw"

    model: str | None = Field(None, description="accepted for compatibility; one model is served")
    query: Query
    passages: Texts
    top_k: TopN | None = Field(None, description="results to return; absent, null or 0: all")
    truncate: Annotated[str | None, _TRUNCATE] = Field(
        None, description="END; or NONE: a passage that is too long is an error"
    )

    def task(self) -> Task:
        """See `dialect.Body.task`."""
        return Task(self.query, self.passages, may_cut=self.truncate != "NONE")

    def most(self) -> int | None:
        """See `dialect.Body.most`."""
        return self.top_k


class Logit(TypedDict):
    """One passage's place; `index` is its position in the request."""

    index: int
    logit: float


class NVIDIAAnswer(TypedDict):
    """Rankings, most relevant first."""

    rankings: list[Logit]


class NVIDIAError(TypedDict):
    """What is wrong and what to do."""

    detail: str


Body: type[dialect.Body] = NVIDIABody
Answer = NVIDIAAnswer
Error = NVIDIAError


def speaks(request: Request, body: Mapping[str, Any]) -> bool:
    """See `Dialect.speaks`."""
    return "passages" in body


def error(problem: Problem) -> NVIDIAError:
    """See `Dialect.error`."""
    return {"detail": problem.detail}


def answer(ranked: Ranked[NVIDIABody]) -> NVIDIAAnswer:
    """See `Dialect.answer`."""
    return {"rankings": [{"index": i, "logit": score} for i, score in ranked.best_first()]}
