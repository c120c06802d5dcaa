"""The API of text-embeddings-inference (TEI); its `/rerank` is in `shared`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from app import VERSION
from app.dialects.fields import Query, Strings
from app.drain import DrainedRoute
from app.errors import Problem
from app.service import ServiceDependency, best_first
from models.rerank import Task

router = APIRouter(tags=["status"], route_class=DrainedRoute)


def error_body(problem: Problem) -> dict[str, str]:
    """A sentence, and the kind of error that TEI would call it."""
    kinds = {429: "Overloaded", 503: "Unhealthy", 500: "Backend", 504: "Backend"}
    return {"error": problem.detail, "error_type": kinds.get(problem.status, "Validation")}


class Error(BaseModel):
    """What is wrong and what to do, and its kind."""

    error: str
    error_type: str


class RerankRequest(BaseModel):
    """A query and the texts to rank."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "query": "내일 회의 일정",
                    "texts": [
                        "오늘 점심은 김치찌개를 먹었다",
                        "내일 오후 2시에 품질 미팅이 있습니다",
                    ],
                }
            ]
        }
    )

    query: Query
    texts: Strings
    return_text: bool = False
    raw_scores: bool = Field(False, description="accepted; scores are always the cosine")
    truncate: bool = Field(True, description="accepted; long texts are always truncated")


class Rank(BaseModel):
    """One text's score; `index` is its position in the request."""

    index: int
    score: float
    text: str | None = None


async def rerank(http: Request, request: RerankRequest, service: ServiceDependency) -> list[Rank]:
    """Rank texts by relevance to a query, most relevant first."""
    ranking = await service.rank(http, Task(request.query, request.texts))
    ranks = [Rank(index=index, score=score) for index, score in best_first(ranking.scores)]
    if request.return_text:
        for rank in ranks:
            rank.text = request.texts[rank.index]
    return ranks


class Info(BaseModel):
    """What clients of TEI ask before they send texts."""

    model_id: str
    model_sha: str | None = None
    model_dtype: str = "gguf"
    model_type: dict[str, Any] = {
        "reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    }
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None = None
    max_client_batch_size: int
    auto_truncate: bool = True
    tokenization_workers: int = 1
    version: str


@router.get("/info")
async def info(service: ServiceDependency) -> Info:
    """The model and its limits, in the format of text-embeddings-inference."""
    settings = service.settings
    return Info(
        model_id=settings.model,
        max_concurrent_requests=service.admission.max_requests,
        max_input_length=settings.max_document_tokens,
        max_batch_tokens=service.model.max_tokens,
        max_client_batch_size=settings.max_documents,
        version=VERSION,
    )
