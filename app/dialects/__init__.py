"""The rerank APIs that clients speak, one module each: paths, body, answer and error."""
