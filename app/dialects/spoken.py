"""The list of the dialects."""

from __future__ import annotations

from app.dialects import (
    cohere,
    jina,
    mixedbread,
    nvidia,
    pinecone,
    tei,
    vllm,
    voyage,
    weaviate,
    zeroentropy,
)
from app.dialects.dialect import Dialect

# Where several share a path, the last one serves what none of the others speaks.
DIALECTS: tuple[Dialect, ...] = (
    tei,
    mixedbread,
    nvidia,
    pinecone,
    weaviate,
    voyage,
    zeroentropy,
    vllm,
    cohere,
    jina,
)
