"""How well a reranker orders documents whose relevance is known."""
