"""Graphiti with the service as its cross-encoder, in an embedded graph.

    uv run --with 'graphiti-core[kuzu]' --with httpx examples/graphiti_memory.py

Graphiti leaves out what scores below 0, so scores are asked for as `unit`. It has no order of its
own without a cross-encoder: this one then gives back the order in which the facts were found. The
embeddings are a stand-in, so that it runs anywhere, and the facts are written without a language
model; yours go in their place.
"""

import asyncio
import os
from datetime import datetime, timezone

import httpx

os.environ |= {"GRAPHITI_TELEMETRY_ENABLED": "false", "EMBEDDING_DIM": "8"}

from graphiti_core import Graphiti
from graphiti_core.cross_encoder.client import CrossEncoderClient
from graphiti_core.driver.kuzu_driver import KuzuDriver
from graphiti_core.edges import EntityEdge
from graphiti_core.embedder.client import EmbedderClient
from graphiti_core.llm_client import LLMConfig, OpenAIClient
from graphiti_core.nodes import EntityNode
from graphiti_core.search.search_config import (
    EdgeReranker,
    EdgeSearchConfig,
    EdgeSearchMethod,
    SearchConfig,
)

URL = os.environ.get("RERANKER_URL", "http://localhost:7998")
FACTS = [
    "When the meeting ended, Minsu asked when the next meeting is.",
    "Grace is allergic to peanuts.",
    "The meeting about quality is tomorrow at two.",
    "Lunch is at noon in the garden.",
]
# Kuzu has no full text here; with Neo4j `EDGE_HYBRID_SEARCH_CROSS_ENCODER` searches that as well.
BY_VECTOR = SearchConfig(
    edge_config=EdgeSearchConfig(
        search_methods=[EdgeSearchMethod.cosine_similarity], reranker=EdgeReranker.cross_encoder
    )
)


class Reranker(CrossEncoderClient):
    """The service, in five seconds, or the order of the passages."""

    async def rank(self, query: str, passages: list[str]) -> list[tuple[str, float]]:
        """The passages and their scores, 0 to 1, best first."""
        body = {"query": query, "documents": passages, "scores": "unit"}
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                answer = await client.post(f"{URL}/v1/rerank", json=body)
            results = answer.raise_for_status().json()["results"]
        except httpx.HTTPError:
            return [(text, 1 / place) for place, text in enumerate(passages, 1)]
        return [(passages[r["index"]], r["relevance_score"]) for r in results]


class StandIn(EmbedderClient):
    """One vector for every text."""

    async def create(self, input_data):
        """The vector."""
        return [1.0] * 8


async def main() -> None:
    """Write the facts, and ask."""
    driver = KuzuDriver()
    graph = Graphiti(
        graph_driver=driver,
        cross_encoder=Reranker(),
        embedder=StandIn(),
        llm_client=OpenAIClient(LLMConfig(api_key="none")),
    )
    await graph.build_indices_and_constraints()
    now = datetime.now(timezone.utc)
    me, them = EntityNode(name="me", group_id="me"), EntityNode(name="them", group_id="me")
    for node in (me, them):
        await node.generate_name_embedding(graph.embedder)
        await node.save(driver)
    for text in FACTS:
        edge = EntityEdge(
            name="KNOWS",
            fact=text,
            fact_embedding=[1.0] * 8,
            group_id="me",
            source_node_uuid=me.uuid,
            target_node_uuid=them.uuid,
            created_at=now,
        )
        await edge.save(driver)
    query = "when is the quality meeting?"
    found = await graph.search_(query, BY_VECTOR, group_ids=["me"])
    for edge in found.edges:
        print(edge.fact)


asyncio.run(main())
