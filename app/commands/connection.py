"""`python -m app rerank --check`: whether a service answers to an address and a key."""

from __future__ import annotations

import time

from app.client import Reranker, RerankerError, SettingsError
from app.commands.exit_status import PROBLEM, UNREACHABLE, USAGE, fail

# Shorter than people wait for it, longer than a queue of requests may take.
_TIMEOUT_SECONDS = 30.0
_QUERY = "When does the meeting start?"
_DOCUMENTS = ["Soup is served at noon.", "The meeting starts at two."]


def check_connection(url: str | None) -> None:
    """Print what answers at `url`, or at RERANKER_URL; end with a status if nothing ranks there."""
    try:
        with Reranker(url, timeout=_TIMEOUT_SECONDS) as client:
            model = client.described()
            began = time.perf_counter()
            results = client.rerank(_QUERY, _DOCUMENTS)
            seconds = time.perf_counter() - began
            where = client.url
    except SettingsError as error:
        fail(str(error), USAGE)
    except RerankerError as error:
        fail(str(error), UNREACHABLE if error.status is None else PROBLEM)
    scores = " and ".join(f"{result.relevance_score:.3f}" for result in results)
    print(f"{where} answers: {model['id']} ranked 2 documents in {seconds:.2f} s, scores {scores}")
