"""The rerank API of text-embeddings-inference (TEI)."""

from __future__ import annotations

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from app.fields import Query, String
from app.service import ServiceDependency, best_first


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
    texts: list[String]
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
    ranking = await service.rerank(http, request.query, request.texts)
    ranks = [Rank(index=index, score=score) for index, score in best_first(ranking)]
    if request.return_text:
        for rank in ranks:
            rank.text = request.texts[rank.index]
    return ranks
