"""What clients of text-embeddings-inference ask before they send texts."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from app import VERSION
from app.dialects.fields import shown
from app.dialects.tei import TEIBody
from app.drain import DrainedRoute
from app.errors import error_answers
from app.scores import described
from app.service import ServiceDependency
from models.weights import weights_of

router = APIRouter(tags=["status"], route_class=DrainedRoute)


class Info(BaseModel):
    """The model and its limits."""

    model_config = shown(
        model_id="jina-reranker-v3",
        model_sha=None,
        model_dtype="gguf",
        model_type={"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        kind="listwise",
        score="unit",
        score_range=[0.0, 1.0],
        max_concurrent_requests=33,
        max_input_length=2048,
        max_batch_tokens=16384,
        max_batch_requests=None,
        max_client_batch_size=1024,
        auto_truncate=True,
        tokenization_workers=1,
        version=VERSION,
    )

    model_id: str
    model_sha: str | None = None
    model_dtype: str = "gguf"
    model_type: dict[str, Any] = {
        "reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    }
    kind: str
    score: str
    score_range: list[float]
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None = None
    max_client_batch_size: int
    auto_truncate: bool = True
    tokenization_workers: int = 1
    version: str


_DESCRIBED: dict[str, Any] = {"summary": "Limits", "responses": error_answers(401, 503)}


@router.get("/v1/info", **_DESCRIBED)
@router.get("/info", **_DESCRIBED)
async def info(service: ServiceDependency) -> Info:
    """The model and its limits, in the format of text-embeddings-inference."""
    card, settings = service.model.card, service.settings
    # Of a ranking in this dialect, where a request does not say.
    score, score_range = described(settings.scores or TEIBody.promised, card)
    return Info(
        model_id=card.name,
        model_sha=(await asyncio.to_thread(weights_of, settings.gguf)).sha256,
        kind=card.kind,
        score=score,
        score_range=list(score_range),
        max_concurrent_requests=service.admission.max_requests,
        max_input_length=min(settings.max_document_tokens, service.model.max_tokens),
        max_batch_tokens=service.model.max_tokens,
        max_client_batch_size=settings.max_documents,
        version=VERSION,
    )
