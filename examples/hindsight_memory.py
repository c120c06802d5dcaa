"""Hindsight's reranker with the service as its text-embeddings-inference, from the environment.

    uv run --with hindsight-api-slim examples/hindsight_memory.py

Without the service Hindsight fails, unless a second reranker is named that takes its place: "rrf"
keeps the order in which the memories were found. This runs its reranking alone: all of Hindsight
needs PostgreSQL and a language model.
"""

import asyncio
import os

os.environ |= {
    "HINDSIGHT_API_RERANKER_PROVIDER": "tei",
    "HINDSIGHT_API_RERANKER_TEI_URL": os.environ.get("RERANKER_URL", "http://localhost:7998"),
    "HINDSIGHT_API_RERANKER_1_PROVIDER": "rrf",
}

from hindsight_api.engine.cross_encoder import create_cross_encoder_from_env
from hindsight_api.engine.search.reranking import CrossEncoderReranker
from hindsight_api.engine.search.types import MergedCandidate, RetrievalResult

MEMORIES = [
    "When the meeting ended, Minsu asked when the next meeting is.",
    "Grace is allergic to peanuts.",
    "The meeting about quality is tomorrow at two.",
    "Lunch is at noon in the garden.",
]


async def main() -> None:
    """Rank the memories as a recall does."""
    reranker = CrossEncoderReranker(create_cross_encoder_from_env())
    await reranker.ensure_initialized()
    found = [
        MergedCandidate(RetrievalResult(id=str(place), text=text, fact_type="world"), 1 / place)
        for place, text in enumerate(MEMORIES, 61)
    ]
    ranked = await reranker.rerank("when is the quality meeting?", found)
    for result in ranked.results:
        print(result.candidate.retrieval.text)


asyncio.run(main())
