"""The rerank API of Jina."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from app.body import JSONRoute
from app.fields import Query, String, Text, TopN
from app.service import ServiceDependency, best_first

router = APIRouter(route_class=JSONRoute, tags=["rerank"])


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
    documents: list[Text]
    top_n: TopN | None = Field(None, description="results to return; absent, null or 0: all")
    return_documents: bool = False
    instruction: String | None = Field(None, description="what makes a document relevant")


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


class RerankResponse(BaseModel):
    """Results, most relevant first."""

    model: str
    object: Literal["list"] = "list"
    usage: Usage
    results: list[Result]


@router.post("/v1/rerank", response_model_exclude_unset=True)
async def rerank(
    http: Request, request: RerankRequest, service: ServiceDependency
) -> RerankResponse:
    """Rank documents by relevance to a query."""
    ranking = await service.rerank(http, request.query, request.documents, request.instruction)
    results = [
        Result(index=index, relevance_score=score)
        for index, score in best_first(ranking)[: request.top_n or None]
    ]
    if request.return_documents:
        for result in results:
            result.document = Document(text=request.documents[result.index])
    usage = Usage(prompt_tokens=ranking.prompt_tokens, total_tokens=ranking.prompt_tokens)
    return RerankResponse(model=service.settings.model, object="list", usage=usage, results=results)
