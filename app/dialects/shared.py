"""`POST /rerank`: the path that several dialects share; the body tells which one is spoken."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Discriminator, Tag

from app import jina, tei
from app.body import JSONRoute
from app.service import ServiceDependency

router = APIRouter(route_class=JSONRoute, tags=["rerank"])


def _dialect(body: Any) -> str:
    return "tei" if isinstance(body, dict) and "texts" in body else "jina"


RerankRequest = Annotated[
    Annotated[jina.RerankRequest, Tag("jina")] | Annotated[tei.RerankRequest, Tag("tei")],
    Discriminator(_dialect),
]


@router.post("/rerank", response_model_exclude_unset=True)
async def rerank(
    http: Request, request: RerankRequest, service: ServiceDependency
) -> jina.RerankResponse | list[tei.Rank]:
    """Rank `documents` in the dialect of Jina, or `texts` in that of text-embeddings-inference."""
    if isinstance(request, tei.RerankRequest):
        return await tei.rerank(http, request, service)
    return await jina.rerank(http, request, service)
