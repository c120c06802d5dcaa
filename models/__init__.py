"""The reranker: everything the model needs, importable without the HTTP front."""
