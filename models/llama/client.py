"""Async client of the llama-server HTTP API, the few calls a reranker needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from models.llama.completion import Completion

_CONNECT_TIMEOUT_SECONDS = 5.0
# llama-server closes idle connections after 5 s; leave them earlier than it does.
_KEEPALIVE_SECONDS = 4.0
_HEALTH_TIMEOUT_SECONDS = 4.0

# Headers that tell whoever watches llama-server which request a call is for.
TRACE: ContextVar[Mapping[str, str]] = ContextVar("trace", default=MappingProxyType({}))

TokenIds = NDArray[np.int64]
# Text and token ids, mixed.
Segments = list[str | int]


class LlamaServerError(Exception):
    """llama-server refused a call or answered something unexpected.

    `told` is what a client of the service may know; it `may_pass` if asking again may help.
    """

    may_pass = False

    @property
    def told(self) -> str:
        """A sentence without what is inside."""
        return "llama-server failed; see the log of the service"


class LlamaServerUnavailable(LlamaServerError):
    """llama-server cannot be reached or is still loading its model."""

    may_pass = True

    @property
    def told(self) -> str:
        """See `LlamaServerError.told`."""
        return "llama-server is not ready; try again in a few seconds"


class LlamaServerRefused(LlamaServerError):
    """llama-server does not take our key: it is none of ours, or was started with another one."""


class LlamaServerTimeout(LlamaServerError):
    """llama-server took longer than the time-out."""


@dataclass(frozen=True)
class Props:
    """Tokens that one slot holds, the number of slots, and what names this start of llama-server.

    Two starts have two names; builds without names have none.
    """

    context_size: int
    total_slots: int
    run: str | None


@dataclass(frozen=True)
class TopTokens:
    """The most probable next tokens, best first.

    Of the prompt `cached_tokens` were in the cache and `computed_tokens` were not.
    """

    ids: TokenIds
    logprobs: NDArray[np.float32]
    cached_tokens: int
    computed_tokens: int


class LlamaServer:
    """Client of one llama-server. Every method raises `LlamaServerError` when a call fails.

    `api_key` is the one llama-server was started with, empty if it wants none. `connections` have
    been opened so far, but for those of `check_health`: no answer over an older one is from a
    llama-server that was started later.
    """

    def __init__(self, url: str, timeout_seconds: float, api_key: str = "") -> None:
        key = [(b"Authorization", f"Bearer {api_key}".encode())] if api_key else []
        self._client = httpx.AsyncClient(
            base_url=url,
            headers=key,
            timeout=httpx.Timeout(timeout_seconds, connect=_CONNECT_TIMEOUT_SECONDS),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=_KEEPALIVE_SECONDS),
            trust_env=False,
        )
        self.connections = 0
        self._extensions = {"trace": self._trace}
        # A connection of its own each time: one kept open would hold a thread of llama-server.
        self._health_client = httpx.AsyncClient(
            base_url=url,
            timeout=_HEALTH_TIMEOUT_SECONDS,
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
        )

    async def __aenter__(self) -> LlamaServer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        await self._health_client.aclose()

    async def check_health(self) -> None:
        """Return if the model is loaded; raise `LlamaServerUnavailable` if not."""
        try:
            with _errors_of_httpx():
                response = await self._health_client.get("/health")
        except LlamaServerTimeout as error:
            raise LlamaServerUnavailable("llama-server does not answer") from error
        if response.is_error:
            raise _error_of(response)

    async def props(self) -> Props:
        """What the server was started with."""
        props = await self._call("GET", "/props")
        try:
            return Props(
                context_size=int(props["default_generation_settings"]["n_ctx"]),
                total_slots=int(props["total_slots"]),
                # Drawn at random at each start; meant for what stands for a picture in a prompt.
                run=props.get("media_marker"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LlamaServerError("llama-server answered /props without its slots") from error

    async def tokenize(self, content: Sequence[str | int]) -> TokenIds:
        """Token ids of strings and ids mixed; the strings are plain text, never special tokens."""
        body = {"content": content, "add_special": False, "parse_special": False}
        # A request may carry megabytes of text, too much for the event loop.
        encoded = await asyncio.to_thread(orjson.dumps, body)
        answer = await self._send("POST", "/tokenize", encoded)
        return await asyncio.to_thread(_token_ids, answer)

    async def detokenize(self, ids: TokenIds) -> str:
        """Text of token ids; an incomplete last character becomes U+FFFD."""
        body = _dumps({"tokens": ids})
        answer = await self._call("POST", "/detokenize", body)
        try:
            return str(answer["content"])
        except (KeyError, TypeError) as error:
            raise LlamaServerError("llama-server answered /detokenize without text") from error

    async def special_token(self, text: str) -> int:
        """Id of the special token written `text`; `LlamaServerError` if the model has none."""
        ids = await self._with_special_tokens(text)
        if len(ids) != 1:
            raise LlamaServerError(
                f"the model of llama-server has no special token {text}: "
                "is it another one than RERANKER_MODEL names?"
            )
        return int(ids[0])

    async def has_special_token(self, text: str) -> bool:
        """Whether the model has a special token written `text`."""
        return len(await self._with_special_tokens(text)) == 1

    async def _with_special_tokens(self, text: str) -> TokenIds:
        body = orjson.dumps({"content": text, "add_special": False, "parse_special": True})
        return _token_ids(await self._send("POST", "/tokenize", body))

    @asynccontextmanager
    async def embedding(self, ids: TokenIds) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream the JSON answer of `/embedding` for a prompt of token ids."""
        body = _dumps({"content": ids})
        with _errors_of_httpx():
            async with self._client.stream(
                "POST", "/embedding", content=body, headers=_headers(), extensions=self._extensions
            ) as response:
                if response.is_error:
                    await response.aread()
                    raise _error_of(response)
                yield response.aiter_bytes()

    async def pooled(self, ids: TokenIds) -> NDArray[np.float32]:
        """The pooled state of the prompt `ids`, float32 [hidden], as the model gives it."""
        body = {"content": ids, "embd_normalize": -1}
        answer = await self._call("POST", "/embedding", _dumps(body))
        try:
            # One prompt, and one row for all its tokens.
            ((row,),) = [prompt["embedding"] for prompt in answer]
            state = np.array(row, np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise LlamaServerError(
                "llama-server sent no pooled state; it must run with --embeddings --pooling cls"
            ) from error
        if not np.isfinite(state).all():
            raise LlamaServerError("llama-server sent a state that is not finite numbers")
        return state

    async def top_tokens(
        self, ids: TokenIds, count: int, slot: int, harmless: int, use_cache: bool = True
    ) -> TopTokens:
        """The `count` most probable tokens after the prompt `ids`, before any sampling.

        `slot` keeps the prompt, so that one that starts alike only computes the rest, unless it
        must not `use_cache`. `harmless` is the token that is then sampled: the server withholds
        the probabilities where that is an incomplete UTF-8 character.
        """
        body = {
            "prompt": ids,
            "n_predict": 1,
            "n_probs": count,
            "cache_prompt": use_cache,
            "id_slot": slot,
            "temperature": 0,
            "samplers": ["top_k"],
            "top_k": 1,
            "logit_bias": [[harmless, 10_000]],
            "response_fields": ["completion_probabilities", "timings"],
        }
        content = await self._send("POST", "/completion", _dumps(body))
        try:
            answer = Completion.of(content)
            return TopTokens(
                ids=answer.ids(),
                logprobs=answer.logprobs(),
                cached_tokens=answer.timings.cache_n,
                computed_tokens=answer.timings.prompt_n,
            )
        except (ValueError, OverflowError) as error:
            raise LlamaServerError("llama-server sent no log-probabilities") from error

    async def _trace(self, event: str, _: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self.connections += 1

    async def _call(self, method: str, path: str, body: bytes | None = None) -> Any:
        try:
            return orjson.loads(await self._send(method, path, body))
        except orjson.JSONDecodeError as error:
            raise LlamaServerError(f"llama-server answered {path} with invalid JSON") from error

    async def _send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        with _errors_of_httpx():
            response = await self._client.request(
                method, path, content=body, headers=_headers(), extensions=self._extensions
            )
        if response.is_error:
            raise _error_of(response)
        return response.content


def _headers() -> dict[str, str]:
    return {"Content-Type": "application/json", **TRACE.get()}


def _dumps(body: dict[str, Any]) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _token_ids(answer: bytes) -> TokenIds:
    try:
        return np.array(orjson.loads(answer)["tokens"], np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise LlamaServerError("llama-server answered /tokenize without token ids") from error


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """Turn the errors of httpx into those of this module."""
    try:
        yield
    except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout) as error:
        raise LlamaServerTimeout("llama-server did not answer in time") from error
    except httpx.HTTPError as error:
        raise LlamaServerUnavailable(f"llama-server cannot be reached: {error}") from error


def _error_of(response: httpx.Response) -> LlamaServerError:
    try:
        message = orjson.loads(response.content)["error"]["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = f"HTTP status {response.status_code}"
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return LlamaServerRefused(
            "llama-server refused the key; set LLAMA_SERVER_API_KEY to the one it was started with"
        )
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return LlamaServerUnavailable(f"llama-server is not ready: {message}")
    return LlamaServerError(f"llama-server answered: {message}")
