"""The rerank API of Pinecone, which only a header tells from others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fastapi import Request
from pydantic import BaseModel, Field, ModelWrapValidatorHandler, PrivateAttr, model_validator
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
    shown,
)
from app.errors import Problem
from models.rerank import Task

NAME = "Pinecone"
PATHS: Sequence[str] = ("/rerank", "/v1/rerank")
DOCUMENTS: Sequence[str] = ("documents",)

_CODES = {401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


class Parameters(BaseModel):
    """What can be set of the model."""

    truncate: Literal["END", "NONE"] | None = Field(
        None, description="NONE: a document that is too long is an error"
    )


class PineconeBody(dialect.Body):
    """A query and the documents to rank."""

    model_config = shown(query=EXAMPLE_QUERY, documents=EXAMPLE_TEXTS)

    promised = "unit"

    model: str | None = Field(None, description="accepted for compatibility; one model is served")
    query: Query
    documents: Texts
    top_n: TopN | None = Field(None, description="results to return; absent, null or 0: all")
    return_documents: bool | None = Field(
        None, description="false: leave out the documents' `id`, `text` and `rank_fields`"
    )
    rank_fields: RankFields | None = Field(None, description="fields of documents, else `text`")
    parameters: Parameters | None = None

    _sent: Sequence[Any] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _keep_documents(cls, body: Any, make: ModelWrapValidatorHandler[Any]) -> Any:
        """Keep the documents as they were sent beside their texts."""
        made = make(join_rank_fields(body, "documents"))
        if isinstance(body, dict):
            made._sent = body["documents"]
        return made

    def task(self) -> Task:
        """See `dialect.Body.task`."""
        truncate = self.parameters.truncate if self.parameters else None
        return Task(self.query, self.documents, may_cut=truncate != "NONE")

    def most(self) -> int | None:
        """See `dialect.Body.most`."""
        return self.top_n

    def document(self, index: int) -> dict[str, str]:
        """A document, as far as it was read."""
        sent = self._sent[index]
        fields = sent if isinstance(sent, dict) else {"text": sent}
        # What is no Unicode text could not be answered.
        return {
            name: value.encode(errors="replace").decode()
            for name, value in fields.items()
            if isinstance(value, str)
        }


class PineconeResult(TypedDict):
    """One document's place; `index` is its position in the request."""

    index: int
    score: float
    document: NotRequired[dict[str, str]]


class PineconeUsage(TypedDict):
    """What Pinecone would count: a unit for each 100 documents."""

    rerank_units: int


class PineconeAnswer(TypedDict):
    """Results, most relevant first."""

    model: str
    data: list[PineconeResult]
    usage: PineconeUsage


class PineconeFault(TypedDict):
    """What is wrong and what to do, and the kind of error that Pinecone would call it."""

    code: str
    message: str


class PineconeError(TypedDict):
    """What is wrong, and the status."""

    error: PineconeFault
    status: int


Body: type[dialect.Body] = PineconeBody
Answer = PineconeAnswer
Error = PineconeError


def speaks(request: Request, body: Mapping[str, Any]) -> bool:
    """See `Dialect.speaks`."""
    return "X-Pinecone-API-Version" in request.headers


def error(problem: Problem) -> PineconeError:
    """See `Dialect.error`."""
    code = _CODES.get(problem.status, "INVALID_ARGUMENT")
    return {"error": {"code": code, "message": problem.detail}, "status": problem.status}


def answer(ranked: Ranked[PineconeBody]) -> PineconeAnswer:
    """See `Dialect.answer`."""
    data: list[PineconeResult] = [
        {"index": index, "score": score} for index, score in ranked.best_first()
    ]
    if ranked.body.return_documents is not False:
        for result in data:
            result["document"] = ranked.body.document(result["index"])
    units = max(1, math.ceil(len(ranked.body.documents) / 100))
    return {"model": ranked.card.name, "data": data, "usage": {"rerank_units": units}}
