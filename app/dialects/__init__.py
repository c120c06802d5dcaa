"""The rerank APIs that clients speak, one module each: fields, conversion and routes."""
