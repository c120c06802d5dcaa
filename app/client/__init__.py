"""A client for applications: copy this folder, or import it; it needs httpx and nothing else.

The server is named by `RERANKER_URL`, the model by `RERANKER_MODEL` and a key, if it wants one, by
`RERANKER_API_KEY`.
"""

from .answer import Result, Results
from .blend import Blend
from .breaker import CircuitBreaker
from .candidates import Candidate, Fallback
from .errors import RequestError, RerankerError, SettingsError, TooLate
from .reranker import AsyncReranker, Reranker

__all__ = [
    "AsyncReranker",
    "Blend",
    "Candidate",
    "CircuitBreaker",
    "Fallback",
    "RequestError",
    "Reranker",
    "RerankerError",
    "Result",
    "Results",
    "SettingsError",
    "TooLate",
]
