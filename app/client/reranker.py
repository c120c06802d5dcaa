"""The clients: for threads, and for coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from .answer import Results
from .background import background
from .blend import Blend
from .breaker import CircuitBreaker
from .candidates import Candidate, Fallback
from .ranker import Ranker

T = TypeVar("T")


class Reranker:
    """A client of one server; threads may share it, also threads whose event loop runs."""

    def __init__(
        self,
        url: str | None = None,
        model: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        fallback: Fallback | None = None,
        breaker: CircuitBreaker | None = None,
        blend: Blend | None = None,
        low_priority: bool = False,
    ) -> None:
        """Take what is None from the environment.

        `timeout` is how many seconds a call takes at most, all in all. With `blend` recency counts
        in `rerank_or_fallback`, and without a server too unless there is a `fallback`. A client of
        `low_priority` lets others pass, and waits for its turn. Raises `RerankerError` if an
        argument is wrong.
        """
        self._ranker = Ranker(url, model, api_key, timeout, fallback, breaker, blend, low_priority)

    @property
    def url(self) -> str:
        """The server's root; raises `RerankerError`."""
        return str(self._ranker.server)

    @property
    def model(self) -> str:
        """The model asked for."""
        return self._ranker.model

    def check(self) -> None:
        """Raise `RerankerError` if a variable of the environment is wrong."""
        self._ranker.check()

    def __enter__(self) -> Reranker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a later call opens others."""
        _wait(self._ranker.close())

    def rerank(
        self,
        query: str,
        documents: Sequence[str],
        top_n: int | None = None,
        instruction: str | None = None,
        *,
        split: bool = False,
        scores: str | None = None,
        partial: bool = False,
    ) -> Results:
        """Rank the documents, best first, the `top_n` best or all; raises `RerankerError`.

        None and 0 mean all. With `split`, a document longer than the model reads has the score of
        its best passage; else it is cut. `scores` are "unit", "calibrated", … as the service takes
        them, None being its own. The service is told how long a call may take; if it has no time
        for all documents, a `partial` ranking of the first ones is better than none.
        """
        return _wait(
            self._ranker.rerank(query, documents, top_n, instruction, split, scores, partial)
        )

    def described(self) -> dict[str, Any]:
        """What the service says of its model: `id`, `kind`, `score`, `sha256`, …

        Raises `RerankerError`.
        """
        return _wait(self._ranker.described())

    def rerank_or_fallback(
        self,
        query: str,
        candidates: Sequence[Candidate],
        top_n: int | None = None,
        *,
        timeout: float | None = None,
    ) -> list[Candidate]:
        """Rank the candidates, or order them by similarity and recency; never raises.

        It takes `timeout` seconds at most, what the caller has left, or those of the client. A
        `top_n` below 0 is warned of, and all candidates are ordered.
        """
        found = _found(candidates)
        try:
            return _wait(self._ranker.rank(query, found, top_n, timeout))
        except Exception as error:
            return self._ranker.order(found, top_n, error)


class AsyncReranker:
    """The same for asyncio; any number of event loops may use it, at once or in turn."""

    def __init__(
        self,
        url: str | None = None,
        model: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        fallback: Fallback | None = None,
        breaker: CircuitBreaker | None = None,
        blend: Blend | None = None,
        low_priority: bool = False,
    ) -> None:
        """See `Reranker`."""
        self._ranker = Ranker(url, model, api_key, timeout, fallback, breaker, blend, low_priority)

    @property
    def url(self) -> str:
        """See `Reranker.url`."""
        return str(self._ranker.server)

    @property
    def model(self) -> str:
        """See `Reranker.model`."""
        return self._ranker.model

    def check(self) -> None:
        """See `Reranker.check`."""
        self._ranker.check()

    async def __aenter__(self) -> AsyncReranker:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """See `Reranker.close`."""
        await asyncio.wrap_future(background.submit(self._ranker.close()))

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        top_n: int | None = None,
        instruction: str | None = None,
        *,
        split: bool = False,
        scores: str | None = None,
        partial: bool = False,
    ) -> Results:
        """See `Reranker.rerank`."""
        ranking = self._ranker.rerank(query, documents, top_n, instruction, split, scores, partial)
        return await asyncio.wrap_future(background.submit(ranking))

    async def described(self) -> dict[str, Any]:
        """See `Reranker.described`."""
        return await asyncio.wrap_future(background.submit(self._ranker.described()))

    async def rerank_or_fallback(
        self,
        query: str,
        candidates: Sequence[Candidate],
        top_n: int | None = None,
        *,
        timeout: float | None = None,
    ) -> list[Candidate]:
        """See `Reranker.rerank_or_fallback`."""
        found = _found(candidates)
        try:
            ranking = self._ranker.rank(query, found, top_n, timeout)
            return await asyncio.wrap_future(background.submit(ranking))
        except Exception as error:
            return self._ranker.order(found, top_n, error)


def _wait(coroutine: Coroutine[Any, Any, T]) -> T:
    future = background.submit(coroutine)
    try:
        return future.result()
    except BaseException:
        # Of an interrupted call the request ends as well.
        future.cancel()
        raise


def _found(candidates: Iterable[Candidate]) -> list[Candidate]:
    try:
        return list(candidates)
    except Exception:
        return []
