"""A LangChain retriever over memories, ranked by the service, and without it as they were found.

    uv run --with langchain-classic --with langchain-cohere examples/langchain_memory.py

LangChain itself raises where the service is down, so the recipe catches that. The embeddings are a
stand-in, so that it runs anywhere; yours go in their place.
"""

import os

from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_cohere import CohereRerank
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore

MEMORIES = [
    "When the meeting ended, Minsu asked when the next meeting is.",
    "Grace is allergic to peanuts.",
    "The meeting about quality is tomorrow at two.",
    "Lunch is at noon in the garden.",
]

store = InMemoryVectorStore.from_texts(MEMORIES, DeterministicFakeEmbedding(size=3))
found = store.as_retriever(search_kwargs={"k": 50})
ranked = ContextualCompressionRetriever(
    base_retriever=found,
    base_compressor=CohereRerank(
        base_url=os.environ.get("RERANKER_URL", "http://localhost:7998"),
        cohere_api_key="key",
        model="jina-reranker-v3",
        top_n=4,
    ),
)
memory = ranked.with_fallbacks([found])

for document in memory.invoke("when is the quality meeting?"):
    print(document.page_content)
