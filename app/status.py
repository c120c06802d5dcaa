"""What is running: health and the model list."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel

from app.dialects.fields import shown
from app.drain import Drain, DrainedRoute, Draining
from app.errors import error_answers
from app.scores import described
from app.service import Service, ServiceDependency
from models.rerank import Task
from models.weights import weights_of

router = APIRouter(tags=["status"], route_class=DrainedRoute)

# What the description shows.
_MODEL = {
    "id": "jina-reranker-v3",
    "object": "model",
    "created": 0,
    "owned_by": "jinaai",
    "model_type": "rerank",
    "kind": "listwise",
    "score": "cosine",
    "score_range": [-1.0, 1.0],
    "context": 16384,
    "limits": {
        "documents": 1024,
        "body_bytes": 33554432,
        "query_tokens": 512,
        "document_tokens": 2048,
    },
    "licence": "CC-BY-NC-4.0",
    "quantization": "Q8_0",
    "sha256": None,
}


class Health(BaseModel):
    """A service that is ready; `fallback` is what it gave up for lack of GPU memory."""

    model_config = shown(status="ok", model="jina-reranker-v3", device="cuda")

    status: Literal["ok"] = "ok"
    model: str
    device: str
    fallback: str | None = None


class Limits(BaseModel):
    """What one request may hold; longer queries and documents are cut to their tokens."""

    documents: int
    body_bytes: int
    query_tokens: int
    document_tokens: int


class Model(BaseModel):
    """A model that can be asked for: how it ranks, and what its scores are and lie within.

    `context` is the tokens of its longest prompt. `sha256` is that of its GGUF as published; it
    and `quantization` are null where only llama-server knows the file.
    """

    model_config = shown(**_MODEL)

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str
    model_type: Literal["rerank"] = "rerank"
    kind: str
    score: str
    score_range: list[float]
    context: int
    limits: Limits
    licence: str
    quantization: str | None = None
    sha256: str | None = None


class ModelList(BaseModel):
    """The one model served."""

    model_config = shown(object="list", data=[_MODEL])

    object: Literal["list"] = "list"
    data: list[Model]


_NO_CONTENT: dict[str, Any] = {
    "status_code": 204,
    "responses": error_answers(503),
    "openapi_extra": {"security": []},
}


@router.get(
    "/health",
    summary="Health",
    responses=error_answers(503),
    response_model_exclude_none=True,
    openapi_extra={"security": []},
)
async def health(request: Request, service: ServiceDependency) -> Health:
    """Whether a request would be answered now."""
    drain: Drain = request.app.state.drain
    if drain.has_begun:
        raise Draining
    await service.model.check()
    settings = service.settings
    return Health(model=settings.model, device=settings.device, fallback=settings.fallback or None)


@router.get("/.well-known/live", summary="Liveness", **_NO_CONTENT)
async def live() -> None:
    """Whether the front answers, as Weaviate asks; llama-server may be starting again."""


@router.get("/.well-known/ready", summary="Readiness", **_NO_CONTENT)
async def ready(request: Request, service: ServiceDependency) -> None:
    """Whether a request would be answered now, as Weaviate asks."""
    await health(request, service)


@router.get("/meta", summary="The model, for Weaviate", responses=error_answers(401, 503))
async def meta(service: ServiceDependency) -> Model:
    """The model served, as Weaviate asks for it."""
    return await _model(service)


@router.get("/v1/models", summary="The models", responses=error_answers(401, 503))
async def models(service: ServiceDependency) -> ModelList:
    """The model served, in the format of OpenAI."""
    return ModelList(data=[await _model(service)])


@router.get("/v1/models/{name:path}", summary="A model", responses=error_answers(401, 404, 503))
async def model(service: ServiceDependency, name: str) -> Model:
    """The model of a name, in the format of OpenAI."""
    served = service.model.card.name
    if name != served:
        raise HTTPException(404, f"there is no model {name!r} here; {served} is served")
    return await _model(service)


async def _model(service: Service) -> Model:
    card, settings = service.model.card, service.settings
    weights = await asyncio.to_thread(weights_of, settings.gguf)
    score, score_range = described(settings.scores, card)
    return Model(
        id=card.name,
        owned_by=card.repository.partition("/")[0],
        kind=card.kind,
        score=score,
        score_range=list(score_range),
        context=service.model.max_tokens,
        limits=Limits(
            documents=settings.max_documents,
            body_bytes=settings.max_body_bytes,
            query_tokens=settings.max_query_tokens,
            document_tokens=service.model.document_tokens(Task("", [])),
        ),
        licence=card.licence,
        quantization=weights.quantization,
        sha256=weights.sha256,
    )
