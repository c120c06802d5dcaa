"""`POST /rerank`: the path that several dialects share; the body tells which one is spoken."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Discriminator, Tag

from app.body import JSONRequest, JSONRoute
from app.dialects import jina, tei
from app.errors import Problem, error_responses
from app.service import ServiceDependency


def _dialect(body: Any) -> str:
    return "tei" if isinstance(body, dict) and "texts" in body else "jina"


class Route(JSONRoute):
    """Errors have the shape of the dialect that the body speaks, or both before it is read."""

    def error_body(self, request: JSONRequest, problem: Problem) -> dict[str, str]:
        """See `JSONRoute.error_body`."""
        if request.parsed is None:
            return jina.error_body(problem) | tei.error_body(problem)
        speaks_tei = _dialect(request.parsed) == "tei"
        return tei.error_body(problem) if speaks_tei else jina.error_body(problem)


router = APIRouter(
    route_class=Route, tags=["rerank"], responses=error_responses(jina.Error | tei.Error)
)

RerankRequest = Annotated[
    Annotated[jina.RerankRequest, Tag("jina")] | Annotated[tei.RerankRequest, Tag("tei")],
    Discriminator(_dialect),
]
RerankResponse = jina.RerankResponse | list[tei.Rank]


@router.post("/rerank", response_model=RerankResponse, response_model_exclude_unset=True)
@router.post("/reranking", response_model=RerankResponse, response_model_exclude_unset=True)
async def rerank(
    http: Request, request: RerankRequest, service: ServiceDependency
) -> RerankResponse | Response:
    """Rank `documents` in the dialect of Jina, or `texts` in that of text-embeddings-inference."""
    if isinstance(request, tei.RerankRequest):
        return await tei.rerank(http, request, service)
    return await jina.rerank(http, request, service)
