"""mem0 with the service as its Cohere: `CO_API_URL` names it, before mem0 starts.

    uv run --with mem0ai --with cohere --with langchain examples/mem0_memory.py

Without the service mem0 warns and keeps the order of its vector search. Embeddings and language
model are stand-ins here, so that it runs anywhere; yours go in their place.
"""

import os
import tempfile

from langchain_core.embeddings import Embeddings

os.environ["CO_API_URL"] = os.environ.get("RERANKER_URL", "http://localhost:7998")
os.environ["MEM0_TELEMETRY"] = "False"

from mem0 import Memory

MEMORIES = [
    "When the meeting ended, Minsu asked when the next meeting is.",
    "Grace is allergic to peanuts.",
    "The meeting about quality is tomorrow at two.",
    "Lunch is at noon in the garden.",
]


class StandIn(Embeddings):
    """One vector for every text."""

    def embed_query(self, text):
        """The vector."""
        return [1.0] * 8

    def embed_documents(self, texts):
        """The vectors."""
        return [self.embed_query(text) for text in texts]


with tempfile.TemporaryDirectory() as folder:
    vectors = {"path": folder, "embedding_model_dims": 8, "on_disk": True}
    memory = Memory.from_config(
        {
            "reranker": {"provider": "cohere", "config": {"api_key": "key"}},
            "vector_store": {"provider": "qdrant", "config": vectors},
            "embedder": {
                "provider": "langchain",
                "config": {"model": StandIn(), "embedding_dims": 8},
            },
            "llm": {"provider": "openai", "config": {"api_key": "none"}},
            "history_db_path": f"{folder}/history.db",
        }
    )
    for text in MEMORIES:
        memory.add(text, user_id="me", infer=False)
    found = memory.search("when is the quality meeting?", filters={"user_id": "me"}, rerank=True)
    for result in found["results"]:
        print(result["memory"])
