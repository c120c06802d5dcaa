"""LlamaIndex's long-term memory, ranked by the service, and without it as it was found.

    uv run --with llama-index-core --with llama-index-postprocessor-jinaai-rerank \\
      examples/llama_index_memory.py

LlamaIndex itself raises where the service is down, so the recipe catches that. The embeddings are a
stand-in, so that it runs anywhere; yours go in their place.
"""

import asyncio
import os
import re

import requests
from llama_index.core import MockEmbedding, QueryBundle
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import VectorMemoryBlock
from llama_index.postprocessor.jinaai_rerank import JinaRerank
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import AsyncQdrantClient

URL = os.environ.get("RERANKER_URL", "http://localhost:7998")
MEMORIES = [
    "When the meeting ended, Minsu asked when the next meeting is.",
    "Grace is allergic to peanuts.",
    "The meeting about quality is tomorrow at two.",
    "Lunch is at noon in the garden.",
]
TAG = re.compile(r"</?message[^>]*>")


class RerankOrKeep(JinaRerank):
    """Ranks plain texts, and keeps the order of the vectors without the service."""

    def _postprocess_nodes(self, nodes, query_bundle=None):
        # The memory writes <message role='user'> around all texts, the query too.
        query_bundle = QueryBundle(TAG.sub("", query_bundle.query_str))
        for found in nodes:
            found.node.set_content(TAG.sub("", found.node.get_content()))
        try:
            return super()._postprocess_nodes(nodes, query_bundle)
        except requests.RequestException:
            return nodes[: self.top_n]


async def main() -> None:
    """Remember, and ask."""
    memory = VectorMemoryBlock(
        vector_store=QdrantVectorStore("memories", aclient=AsyncQdrantClient(":memory:")),
        embed_model=MockEmbedding(embed_dim=8),
        similarity_top_k=50,
        node_postprocessors=[RerankOrKeep(base_url=f"{URL}/v1", api_key="key", top_n=4)],
    )
    for text in MEMORIES:
        await memory.aput([ChatMessage(role="user", content=text)])
    found = await memory.aget([ChatMessage("when is the quality meeting?")])
    print(found)


asyncio.run(main())
