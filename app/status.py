"""What is running: health and the model list."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from app.drain import Drain, DrainedRoute, Draining
from app.service import ServiceDependency

router = APIRouter(tags=["status"], route_class=DrainedRoute)


class Health(BaseModel):
    """A service that is ready; `fallback` is what it gave up for lack of GPU memory."""

    status: Literal["ok"] = "ok"
    model: str
    device: str
    fallback: str | None = None


class Model(BaseModel):
    """A model that can be asked for: how it ranks, and what its scores are and lie within."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "jina-reranker"
    kind: str
    score: str
    score_range: tuple[float, float]
    licence: str


class ModelList(BaseModel):
    """The one model served."""

    object: Literal["list"] = "list"
    data: list[Model]


@router.get(
    "/health",
    responses={503: {"description": "llama-server is not ready, or the service ends"}},
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


@router.get("/v1/models")
async def models(service: ServiceDependency) -> ModelList:
    """The model served, in the format of OpenAI."""
    card = service.model.card
    served = Model(
        id=card.name,
        kind=card.kind,
        score=card.score,
        score_range=card.score_range,
        licence=card.licence,
    )
    return ModelList(data=[served])
