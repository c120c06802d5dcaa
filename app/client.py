"""A client for applications: copy this file, or import it; it needs httpx and nothing else.

The server is named by `RERANKER_URL`, the model by `RERANKER_MODEL` and a key, if it wants one, by
`RERANKER_API_KEY`.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

_log = logging.getLogger("reranker")

_CONNECT_SECONDS = 2.0


class RerankerError(Exception):
    """No ranking could be had; the message says what to do.

    `status` is that of the answer, if there was one, and `retry_after` the seconds it asked for.
    """

    def __init__(
        self, message: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True)
class Result:
    """A document's place; `index` is its position in the request, the score within −1…1."""

    index: int
    relevance_score: float


@dataclass(frozen=True)
class Candidate:
    """What a vector search found: `similarity` is its score, 0…1, `created_at` the text's time."""

    text: str
    similarity: float
    created_at: datetime | None = None


@dataclass(frozen=True)
class Fallback:
    """How candidates are ordered without a server: a weighted sum of similarity and recency.

    Recency is 1 for a text of now and halves every `half_life_days`; 0 for one without a time.
    """

    similarity_weight: float = 0.8
    recency_weight: float = 0.2
    half_life_days: float = 30.0

    def __post_init__(self) -> None:
        if self.half_life_days <= 0:
            raise ValueError("half_life_days is a number of days above 0")

    def order(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Best first, ties as they came."""
        now = time.time()
        return sorted(candidates, key=lambda candidate: -self._score(candidate, now))

    def _score(self, candidate: Candidate, now: float) -> float:
        similarity = candidate.similarity if math.isfinite(candidate.similarity) else 0.0
        recency = 0.0
        if candidate.created_at:
            days = max(0.0, now - candidate.created_at.timestamp()) / 86_400
            recency = 0.5 ** (days / self.half_life_days)
        return self.similarity_weight * similarity + self.recency_weight * recency


class CircuitBreaker:
    """Keeps requests from a server that failed: after that only one in `pause` seconds may try."""

    def __init__(self, pause: float = 5.0) -> None:
        self._pause = pause
        self._closed = True
        self._next_try = 0.0
        self._lock = threading.Lock()

    @property
    def closed(self) -> bool:
        """Whether the server answered when it was last asked."""
        return self._closed

    def allows(self) -> bool:
        """Whether a request may be sent now; of the callers of an open circuit one may try."""
        with self._lock:
            now = time.monotonic()
            if not self._closed and now < self._next_try:
                return False
            self._next_try = now + self._pause
            return True

    def failed(self) -> bool:
        """Open the circuit; True if it was closed."""
        with self._lock:
            was_closed, self._closed = self._closed, False
            self._next_try = time.monotonic() + self._pause
            return was_closed

    def succeeded(self) -> bool:
        """Close the circuit; True if it was open."""
        with self._lock:
            was_open, self._closed = not self._closed, True
            return was_open


class _Client:
    """What both clients share: settings, requests, answers, and what is done without one."""

    def __init__(
        self,
        url: str | None = None,
        model: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        fallback: Fallback | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        """Take what is None from the environment.

        `timeout` is how many seconds the server may be silent. Raises `RerankerError` if `url` is
        no address.
        """
        self.url = _address(url or os.environ.get("RERANKER_URL") or "http://localhost:7998")
        self.model = model or os.environ.get("RERANKER_MODEL") or "jina-reranker-v3"
        key = api_key or os.environ.get("RERANKER_API_KEY")
        self._fallback = fallback or Fallback()
        self._breaker = breaker or CircuitBreaker()
        self._options: dict[str, Any] = {
            "base_url": self.url,
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
            "timeout": httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
        }

    def _body(
        self, query: str, documents: Sequence[str], top_n: int | None, instruction: str | None
    ) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "query": query, "documents": list(documents)}
        options = {"top_n": top_n, "instruction": instruction}
        return body | {name: value for name, value in options.items() if value is not None}

    def _results(self, response: httpx.Response, body: dict[str, Any]) -> list[Result]:
        """The results of an answer to `body`; raises `RerankerError` unless they fit it."""
        if not response.is_success:
            raise self._refused(response)
        documents = len(body["documents"])
        wanted = min(documents, body.get("top_n") or documents)
        try:
            results = [
                Result(item["index"], float(item["relevance_score"]))
                for item in response.json()["results"]
            ]
        except (ValueError, KeyError, TypeError):
            results = []
        places = {r.index for r in results if math.isfinite(r.relevance_score)}
        if len(results) != wanted or len(places & set(range(documents))) != wanted:
            raise RerankerError(
                f"{self.url} sent no ranking of {wanted} documents; is it a reranker?",
                response.status_code,
            )
        return results

    def _refused(self, response: httpx.Response) -> RerankerError:
        try:
            reason = response.json()["detail"]
        except (ValueError, KeyError, TypeError):
            reason = response.text[:200] or response.reason_phrase
        wait = response.headers.get("Retry-After", "")
        return RerankerError(
            f"{self.url} answered {response.status_code}: {reason}",
            response.status_code,
            float(wait) if wait.isdecimal() else None,
        )

    def _unreachable(self, error: httpx.HTTPError) -> RerankerError:
        reason = str(error) or type(error).__name__
        return RerankerError(
            f"no answer from {self.url} ({reason}); is the service up, and RERANKER_URL right?"
        )

    def _ranked(self, candidates: Sequence[Candidate], results: list[Result]) -> list[Candidate]:
        if self._breaker.succeeded():
            _log.info("reranker answers again")
        return [candidates[result.index] for result in results]

    def _unranked(
        self, candidates: Sequence[Candidate], top_n: int | None, error: Exception | None = None
    ) -> list[Candidate]:
        """Candidates by similarity and recency; warns of `error`, but once of an outage."""
        if error and not _is_outage(error):
            _log.warning("no ranking for this request, skipping reranking: %s", error)
        elif error and self._breaker.failed():
            _log.warning("reranker unreachable, skipping reranking: %s", error)
        return self._fallback.order(candidates)[:top_n]


class Reranker(_Client):
    """A client of one server; threads may share it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._http = httpx.Client(**self._options)

    def __enter__(self) -> Reranker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def rerank(
        self,
        query: str,
        documents: Sequence[str],
        top_n: int | None = None,
        instruction: str | None = None,
    ) -> list[Result]:
        """Rank the documents, best first, the `top_n` best or all; raises `RerankerError`."""
        body = self._body(query, documents, top_n, instruction)
        try:
            response = self._http.post("/v1/rerank", json=body)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        return self._results(response, body)

    def rerank_or_fallback(
        self, query: str, candidates: Sequence[Candidate], top_n: int | None = None
    ) -> list[Candidate]:
        """Rank the candidates, or order them by similarity and recency; never raises."""
        if not self._breaker.allows():
            return self._unranked(candidates, top_n)
        try:
            if not self._breaker.closed:
                self._http.get("/health", timeout=_CONNECT_SECONDS).raise_for_status()
            results = self.rerank(query, [candidate.text for candidate in candidates], top_n)
        except Exception as error:
            return self._unranked(candidates, top_n, error)
        return self._ranked(candidates, results)


class AsyncReranker(_Client):
    """The same for asyncio and trio."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._http = httpx.AsyncClient(**self._options)

    async def __aenter__(self) -> AsyncReranker:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        top_n: int | None = None,
        instruction: str | None = None,
    ) -> list[Result]:
        """See `Reranker.rerank`."""
        body = self._body(query, documents, top_n, instruction)
        try:
            response = await self._http.post("/v1/rerank", json=body)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        return self._results(response, body)

    async def rerank_or_fallback(
        self, query: str, candidates: Sequence[Candidate], top_n: int | None = None
    ) -> list[Candidate]:
        """See `Reranker.rerank_or_fallback`."""
        if not self._breaker.allows():
            return self._unranked(candidates, top_n)
        try:
            if not self._breaker.closed:
                health = await self._http.get("/health", timeout=_CONNECT_SECONDS)
                health.raise_for_status()
            texts = [candidate.text for candidate in candidates]
            results = await self.rerank(query, texts, top_n)
        except Exception as error:
            return self._unranked(candidates, top_n, error)
        return self._ranked(candidates, results)


def _is_outage(error: Exception) -> bool:
    """Whether other requests would fail as well; not if this one is at fault."""
    if isinstance(error, RerankerError) and error.status:
        return error.status < 400 or error.status >= 500 or error.status == 429
    return isinstance(error, (RerankerError, httpx.HTTPError))


def _address(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise RerankerError(f"{url!r} is no address; did you mean http://{url}?")
    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise RerankerError(f"{url!r} is no address: {error}") from error
    return url.rstrip("/")
