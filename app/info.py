"""What clients of text-embeddings-inference ask before they send texts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from app import VERSION
from app.drain import DrainedRoute
from app.service import ServiceDependency

router = APIRouter(tags=["status"], route_class=DrainedRoute)


class Info(BaseModel):
    """The model and its limits."""

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
