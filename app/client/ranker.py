"""One implementation of what the clients for threads and for coroutines do."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import operator
import os
import ssl
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import httpx

from .answer import Answer, Results
from .blend import Blend
from .breaker import CircuitBreaker
from .candidates import Candidate, Fallback
from .errors import RequestError, RerankerError, SettingsError, TooLate
from .proxy import proxy_for
from .server import Server, bearer

T = TypeVar("T")

_log = logging.getLogger("reranker")

_CONNECT_SECONDS = 2.0
# Of the time of a call that falls back, so that the fallback's order is in time as well.
_SHARE_OF_SERVER = 0.9
# More than any ranking takes: an answer without end must not fill the memory.
_MOST_ANSWER_BYTES, _MOST_RESULT_BYTES = 2**20, 2**10


class CircuitOpen(RerankerError):
    """The server was found down a moment ago and is not asked."""


class Ranker:
    """Settings, requests, answers, and what is done without one.

    Its coroutines all run in one event loop.
    """

    def __init__(
        self,
        url: str | None,
        model: str | None,
        api_key: str | None,
        timeout: float,
        fallback: Fallback | None,
        breaker: CircuitBreaker | None,
        blend: Blend | None,
        low_priority: bool,
    ) -> None:
        """Take what is None from the environment.

        Raises `SettingsError` for an argument that is wrong; a wrong variable fails each request,
        so that an application starts and falls back.
        """
        if url:
            Server(url, "url")
        if api_key:
            bearer(api_key, "api_key")
        self.model = model or os.environ.get("RERANKER_MODEL") or "jina-reranker-v3"
        self._url = url or os.environ.get("RERANKER_URL") or "http://localhost:7998"
        self._keys = os.environ.get("RERANKER_API_KEY", "") if api_key is None else api_key
        self._timeout = _seconds(timeout)
        self._low_priority = low_priority
        self._fallback = fallback or blend or Fallback()
        self._blend = blend
        self._breaker = breaker or CircuitBreaker()
        self._http: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def server(self) -> Server:
        """The server asked; raises `SettingsError`."""
        return Server(self._url, "RERANKER_URL")

    def check(self) -> None:
        """Raise `SettingsError` if a variable of the environment is wrong."""
        bearer(self._keys, "RERANKER_API_KEY")
        Server(self._url, "RERANKER_URL")

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        top_n: int | None,
        instruction: str | None,
        split: bool = False,
        scores: str | None = None,
        partial: bool = False,
    ) -> Results:
        """Rank the documents; raises `RerankerError`."""
        return await self._in_time(
            self._rerank(
                query, documents, top_n, instruction, split, scores, partial, self._timeout
            ),
            self._timeout,
        )

    async def described(self) -> dict[str, Any]:
        """What `/v1/models` says of the model served; raises `RerankerError`."""
        answer = await self._in_time(self._ask("GET", "/v1/models", b"", 0), self._timeout)
        if not answer.is_success:
            raise self._refused(answer)
        try:
            return dict(json.loads(answer.content)["data"][0])
        except Exception:
            raise RerankerError(
                f"{self.server} does not say which model it serves", answer.status
            ) from None

    async def rank(
        self,
        query: str,
        candidates: Sequence[Candidate],
        top_n: int | None,
        timeout: float | None,
    ) -> list[Candidate]:
        """Rank the candidates, unless the server is known to be down; raises `RerankerError`.

        It takes less than the seconds of `timeout`, or of the client where that is None.
        """
        seconds = (self._timeout if timeout is None else _left(timeout)) * _SHARE_OF_SERVER
        if not self._breaker.allows():
            raise CircuitOpen("the server did not answer a moment ago")
        # Blended, any of them may come first.
        wanted = None if self._blend else top_n
        count = _count(top_n)
        results = await self._in_time(
            self._probe_and_rerank(query, _texts(candidates), wanted, seconds), seconds
        )
        if self._breaker.succeeded():
            _log.info("reranker answers again")
        ranked = [candidates[result.index] for result in results]
        if self._blend:
            ranked = self._blend.order(ranked, [result.relevance_score for result in results])
        return ranked[:count]

    def order(
        self, candidates: Sequence[Candidate], top_n: int | None, error: Exception
    ) -> list[Candidate]:
        """Candidates by similarity and recency; warns of `error`, but once of an outage."""
        if not isinstance(error, CircuitOpen):
            if not _is_outage(error):
                _log.warning("no ranking for this request, skipping reranking: %s", error)
            elif self._breaker.failed():
                _log.warning("reranker unreachable, skipping reranking: %s", error)
        try:
            ordered = self._fallback.order(candidates)
        except Exception as failure:
            _log.warning("the fallback failed, candidates stay as they came: %s", failure)
            ordered = list(candidates)
        try:
            return ordered[: _count(top_n)]
        except RequestError:
            return ordered

    async def close(self) -> None:
        """Close the connections; a later request opens others."""
        http, self._http = self._http, None
        if http and self._loop is asyncio.get_running_loop():
            await http.aclose()

    async def _in_time(self, requests: Coroutine[Any, Any, T], seconds: float) -> T:
        try:
            return await asyncio.wait_for(requests, seconds)
        except RerankerError:
            raise
        except asyncio.TimeoutError:
            raise self._unreachable(f"{seconds:g} s have passed") from None
        except Exception as error:
            raise self._unreachable(str(error) or type(error).__name__) from error

    async def _probe_and_rerank(
        self, query: str, documents: list[str], top_n: int | None, seconds: float
    ) -> Results:
        if not self._breaker.closed:
            probe = self._ask("GET", "/health", b"", 0)
            answer = await asyncio.wait_for(probe, _CONNECT_SECONDS)
            if not answer.is_success:
                raise self._refused(answer)
        scores = "unit" if self._blend else None
        return await self._rerank(query, documents, top_n, None, False, scores, False, seconds)

    async def _rerank(
        self,
        query: str,
        documents: Sequence[str],
        top_n: int | None,
        instruction: str | None,
        split: bool,
        scores: str | None,
        partial: bool,
        seconds: float,
    ) -> Results:
        count = _count(top_n)
        listed = _listed(documents)
        body = _body(self.model, query, listed, count, instruction, split, scores, partial)
        answer = await self._ask("POST", "/v1/rerank", body, len(listed), self._patience(seconds))
        if not answer.is_success:
            raise self._refused(answer)
        results = answer.results(len(listed), count, partial)
        if results is None:
            wanted = min(len(listed), count or len(listed))
            raise RerankerError(
                f"{self.server} sent no ranking of {wanted} documents; is it a reranker?",
                answer.status,
            )
        return results

    def _patience(self, seconds: float) -> dict[str, str]:
        """How the server is told of the time that is left."""
        if self._low_priority:
            # It waits for as long as others are let pass.
            return {"X-Priority": "low"}
        return {"Prefer": f"wait={seconds:.3f}"} if math.isfinite(seconds) else {}

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes,
        documents: int,
        more_headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        url = self.server.endpoint(path)
        headers = {"Content-Type": "application/json", **more_headers}
        most = _MOST_ANSWER_BYTES + documents * _MOST_RESULT_BYTES
        async with self._opened().stream(method, url, content=body, headers=headers) as response:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > most:
                    raise RerankerError(
                        f"{self.server} answered more than {most:,} bytes; is it a reranker?",
                        response.status_code,
                    )
            wait = response.headers.get("Retry-After", "")
            is_late = "Preference-Applied" in response.headers
            return Answer(response.status_code, bytes(content), wait, is_late)

    def _opened(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        # A fork has a loop of its own, and no use for the connections of the other process.
        if self._http is None or self._loop is not loop:
            server = self.server
            header = bearer(self._keys, "RERANKER_API_KEY")
            proxy = proxy_for(server.scheme, server.host)
            self._http = httpx.AsyncClient(
                headers=[(b"Authorization", header)] if header else [],
                auth=None if header else server.auth,
                timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
                proxy=proxy,
                verify=_certificates() if proxy or server.scheme == "https" else False,
                trust_env=False,
            )
            self._loop = loop
        return self._http

    def _refused(self, answer: Answer) -> RerankerError:
        header = bearer(self._keys, "RERANKER_API_KEY") or b""
        key = header.removeprefix(b"Bearer ").decode(errors="replace")
        return answer.refusal(str(self.server), key)

    def _unreachable(self, reason: str) -> RerankerError:
        return RerankerError(
            f"no answer from {self.server} ({reason}); is the service up, and RERANKER_URL right?"
        )


def _seconds(timeout: float) -> float:
    try:
        seconds = float(timeout)
    except Exception:
        seconds = math.nan
    if not seconds > 0:
        raise SettingsError(f"timeout {timeout!r} is no number of seconds above 0")
    return seconds


def _left(timeout: float) -> float:
    """The seconds that a caller has left, who may have none."""
    try:
        return _seconds(timeout)
    except SettingsError as error:
        raise RequestError(str(error)) from None


def _certificates() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except Exception as error:
        raise SettingsError(f"SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {error}") from error


def _count(top_n: int | None) -> int | None:
    """How many results are wanted, None for all, as the service reads it."""
    try:
        count = 0 if top_n is None else operator.index(top_n)
    except Exception:
        count = -1
    if count < 0:
        raise RequestError("top_n is a number of results from 1, or 0 or None for all")
    return count or None


def _listed(documents: Iterable[str]) -> list[str]:
    if isinstance(documents, (str, bytes, bytearray)):
        raise RequestError("documents is one text; give a list of texts")
    if isinstance(documents, (Mapping, set, frozenset)):
        raise RequestError(
            f"documents is a {type(documents).__name__}, which has no places; give a list of texts"
        )
    try:
        return list(documents)
    except Exception as error:
        raise RequestError(f"documents is no list of texts: {error}") from error


def _texts(candidates: Sequence[Candidate]) -> list[str]:
    try:
        return [candidate.text for candidate in candidates]
    except Exception as error:
        raise RequestError(f"a candidate has no text: {error}") from error


def _body(
    model: str,
    query: str,
    documents: list[str],
    count: int | None,
    instruction: str | None,
    split: bool,
    scores: str | None,
    partial: bool,
) -> bytes:
    body: dict[str, Any] = {"model": model, "query": query, "documents": documents}
    options: dict[str, Any] = {"top_n": count, "instruction": instruction, "scores": scores}
    if partial:
        options["partial"] = True
    if split:
        options |= {"long_documents": "split", "return_passages": True}
    body |= {name: value for name, value in options.items() if value is not None}
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            f"the query or a document is no Unicode text: it holds {error.object[error.start]!a}"
        ) from None
    except Exception as error:
        raise RequestError(f"the request cannot be sent as JSON: {error}") from error


def _is_outage(error: Exception) -> bool:
    """Whether other requests would fail as well; not if this one is at fault."""
    if isinstance(error, TooLate):
        return False
    if isinstance(error, RerankerError) and error.status:
        return error.status < 400 or error.status >= 500 or error.status == 429
    return True
