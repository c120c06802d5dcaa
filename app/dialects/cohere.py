"""Version 2 of Cohere's rerank API."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from app.body import JSONRequest, JSONRoute
from app.dialects.fields import Query, Texts, Tokens, TopN
from app.dialects.jina import Meta
from app.errors import Problem, error_responses
from app.service import ServiceDependency, best_first
from models.rerank import Task


class Route(JSONRoute):
    """Errors are a `message`."""

    def error_body(self, request: JSONRequest, problem: Problem) -> dict[str, str]:
        """See `JSONRoute.error_body`."""
        return {"message": problem.detail}


class Error(BaseModel):
    """What is wrong and what to do."""

    message: str


router = APIRouter(route_class=Route, tags=["rerank"], responses=error_responses(Error))


class RerankRequest(BaseModel):
    """A query and the documents to rank."""

    model: str | None = Field(None, description="accepted for compatibility; one model is served")
    query: Query
    documents: Texts
    top_n: TopN | None = Field(None, description="results to return; absent, null or 0: all")
    max_tokens_per_doc: Tokens | None = Field(None, description="documents are cut to these tokens")


class Result(BaseModel):
    """One document's place; `index` is its position in the request."""

    index: int
    relevance_score: float


class RerankResponse(BaseModel):
    """Results, most relevant first."""

    id: str
    results: list[Result]
    meta: Meta


@router.post("/v2/rerank")
async def rerank(
    http: Request, request: RerankRequest, service: ServiceDependency
) -> RerankResponse:
    """Rank documents by relevance to a query."""
    limit = request.max_tokens_per_doc
    ranking = await service.rank(
        http, Task(request.query, request.documents, max_document_tokens=limit)
    )
    results = [
        Result(index=index, relevance_score=score)
        for index, score in best_first(ranking.scores)[: request.top_n or None]
    ]
    meta = Meta.of("2", len(request.documents))
    return RerankResponse(id=http.state.request_id, results=results, meta=meta)
