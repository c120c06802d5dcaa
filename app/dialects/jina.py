"""The rerank API of Jina, which is also version 1 of Cohere's: one answer that both accept."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.body import JSONRequest, JSONRoute
from app.dialects.fields import Query, String, Texts, Tokens, TopN
from app.errors import Problem, error_responses
from app.service import ServiceDependency, best_first
from models.rerank import Task, Vectors


class Route(JSONRoute):
    """Errors carry `detail` for clients of Jina and `message` for those of Cohere."""

    def error_body(self, request: JSONRequest, problem: Problem) -> dict[str, str]:
        """See `JSONRoute.error_body`."""
        return error_body(problem)


def error_body(problem: Problem) -> dict[str, str]:
    """The same sentence under both names."""
    return {"detail": problem.detail, "message": problem.detail}


class Error(BaseModel):
    """What is wrong and what to do, under both names."""

    detail: str
    message: str


router = APIRouter(route_class=Route, tags=["rerank"], responses=error_responses(Error))

_MOST_RANK_FIELDS = 16
_NUMPY = orjson.OPT_SERIALIZE_NUMPY


class RerankRequest(BaseModel):
    """A query and the documents to rank."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "query": "내일 회의 일정",
                    "documents": [
                        "오늘 점심은 김치찌개를 먹었다",
                        "내일 오후 2시에 품질 미팅이 있습니다",
                    ],
                    "top_n": 2,
                    "return_documents": True,
                }
            ]
        }
    )

    model: str | None = Field(None, description="accepted for compatibility; one model is served")
    query: Query
    documents: Texts
    top_n: TopN | None = Field(None, description="results to return; absent, null or 0: all")
    return_documents: bool | None = False
    return_embeddings: bool | None = Field(False, description="return the documents' vectors too")
    instruction: String | None = Field(None, description="what makes a document relevant")
    max_doc_length: Tokens | None = Field(None, description="documents are cut to these tokens")
    max_tokens_per_doc: Tokens | None = Field(None, description="another name of max_doc_length")
    rank_fields: list[str] | None = Field(
        None, max_length=_MOST_RANK_FIELDS, description="fields of documents that are objects"
    )

    @model_validator(mode="before")
    @classmethod
    def _join_rank_fields(cls, body: Any) -> Any:
        """Give documents that are objects a text made of their `rank_fields`."""
        fields = body.get("rank_fields") if isinstance(body, dict) else None
        if not isinstance(fields, list) or len(fields) > _MOST_RANK_FIELDS:
            return body
        if not all(isinstance(name, str) for name in fields):
            return body
        if isinstance(body.get("documents"), list):
            # Each once, so that the texts grow no larger than the body.
            names = list(dict.fromkeys(fields))
            return body | {"documents": [_joined(item, names) for item in body["documents"]]}
        return body

    def task(self) -> Task:
        """What the service is asked for."""
        limit = self.max_tokens_per_doc or self.max_doc_length
        return Task(self.query, self.documents, self.instruction, limit)


def _joined(document: Any, fields: list[str]) -> Any:
    if not isinstance(document, dict):
        return document
    texts = [document[name] for name in fields if isinstance(document.get(name), str)]
    return {"text": "\n".join(texts)} if texts else document


class Usage(BaseModel):
    """Tokens the model read."""

    prompt_tokens: int
    total_tokens: int


class Document(BaseModel):
    """A ranked document."""

    text: str


class Result(BaseModel):
    """One document's place; `index` is its position in the request."""

    index: int
    relevance_score: float
    document: Document | None = None
    embedding: list[float] | None = None


class Version(BaseModel):
    """Of Cohere's API."""

    version: str


class Units(BaseModel):
    """What Cohere would count: a unit for each 100 documents."""

    search_units: int


class Meta(BaseModel):
    """Cohere's part of the answer."""

    api_version: Version
    billed_units: Units

    @classmethod
    def of(cls, version: str, documents: int) -> Meta:
        """For an answer about so many documents."""
        units = Units(search_units=max(1, math.ceil(documents / 100)))
        return cls(api_version=Version(version=version), billed_units=units)


class RerankResponse(BaseModel):
    """Results, most relevant first."""

    id: str
    model: str
    object: Literal["list"] = "list"
    usage: Usage
    results: list[Result]
    meta: Meta


@router.post("/v1/rerank", response_model=RerankResponse, response_model_exclude_unset=True)
@router.post("/v1/reranking", response_model=RerankResponse, response_model_exclude_unset=True)
async def rerank(
    http: Request, request: RerankRequest, service: ServiceDependency
) -> RerankResponse | Response:
    """Rank documents by relevance to a query."""
    ranking = await service.rank(http, request.task())
    results = [
        Result(index=index, relevance_score=score)
        for index, score in best_first(ranking.scores)[: request.top_n or None]
    ]
    if request.return_documents:
        for result in results:
            result.document = Document(text=request.documents[result.index])
    answer = RerankResponse(
        id=http.state.request_id,
        model=service.settings.model,
        object="list",
        usage=Usage(prompt_tokens=ranking.prompt_tokens, total_tokens=ranking.prompt_tokens),
        results=results,
        meta=Meta.of("1", len(request.documents)),
    )
    if not request.return_embeddings or ranking.vectors is None:
        return answer
    body = answer.model_dump(exclude_unset=True)
    # Thousands of floats: too many for pydantic and for the event loop.
    content = await asyncio.to_thread(_with_vectors, body, ranking.vectors)
    return Response(content, media_type="application/json")


def _with_vectors(body: dict[str, Any], vectors: Vectors) -> bytes:
    for result in body["results"]:
        vector = vectors[result["index"]]
        # One by one: orjson holds the interpreter's lock, and so the event loop, for a whole call.
        result["embedding"] = orjson.Fragment(orjson.dumps(vector, option=_NUMPY))
    return orjson.dumps(body)
