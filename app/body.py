"""Reading a request body: bounded in size and time, parsed off the event loop when it is large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import anyio
from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from app.admission import Place
from app.disconnect import ClientLeft
from app.errors import IN_ROUNDS, TooLarge
from app.excerpt import Excerpt, has_more_values, size
from app.settings import Settings

# About a millisecond of parsing.
_LARGE_BODY_BYTES = 128 * 1024
# Some ten milliseconds.
_MOST_VALUES = 1_000_000
# Parsing holds the interpreter's lock: two at a time would hold up the event loop twice as long.
_parsing = ThreadPoolExecutor(1, "parsing")


class JSONRequest(Request):
    """A request that refuses bodies which are too large or too slow, and parses JSON in a thread.

    `excerpt` says what of the body is read, `place` is where its memory counts.
    """

    place: Place
    excerpt: Excerpt
    _content: bytes | None = None

    async def body(self) -> bytes:
        """Whether there is a body: its first byte, once it is there as a whole.

        Raises 408 if it takes too long, `ClientLeft`, or as `stream` does.
        """
        # FastAPI keeps what it gets until the answer is out.
        if self._content is None:
            self._content = await self._read()
        return self._content[:1]

    async def _read(self) -> bytes:
        settings: Settings = self.app.state.settings
        try:
            with anyio.fail_after(settings.body_timeout_seconds):
                return b"".join([chunk async for chunk in self.stream()])
        except TimeoutError as error:
            detail = (
                f"the body did not arrive within {settings.body_timeout_seconds:g} s "
                "(RERANKER_BODY_TIMEOUT_SECONDS); send less, or faster"
            )
            raise HTTPException(408, detail, {"Connection": "close"}) from error
        except ClientDisconnect as error:
            raise ClientLeft from error

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Chunks of the body; raises `TooLarge` or `Busy` as soon as they are too many."""
        limit = self.app.state.settings.max_body_bytes
        received = int(self.headers.get("content-length", 0))
        _check_size(received, limit)
        received = 0
        async for chunk in super().stream():
            received += len(chunk)
            _check_size(received, limit)
            self.place.grow(len(chunk))
            yield chunk

    async def json(self) -> Any:
        """What `excerpt` finds in the body.

        Raises `TooLarge`, or `json.JSONDecodeError` however it is malformed.
        """
        await self.body()
        content, self._content = self._content or b"", b""
        if len(content) < _LARGE_BODY_BYTES:
            parsed = self._parse(content)
        else:
            loop = asyncio.get_running_loop()
            parsed = await loop.run_in_executor(_parsing, self._parse, content)
        # Texts take up to four times the memory of their bytes, what was passed over none.
        self.place.grow(size(parsed) - len(content))
        return parsed

    def _parse(self, content: bytes) -> Any:
        if has_more_values(content, _MOST_VALUES):
            raise TooLarge(
                f"the body has more than {_MOST_VALUES:,} values; send the documents without what "
                f"is not to be ranked, or {IN_ROUNDS}"
            )
        return self.excerpt.of(content)


@cache
def excerpt(fields: frozenset[str], limit: int) -> Excerpt:
    """An `Excerpt`, whose making takes longer than its use."""
    return Excerpt(fields, limit)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(
            f"the body is larger than {limit:,} bytes (RERANKER_MAX_BODY_BYTES); {IN_ROUNDS}"
        )


def check_count(body: Mapping[str, Any], names: Sequence[str], limit: int) -> None:
    """Raise `TooLarge` if a field of these `names` holds more than `limit` documents."""
    for name in names:
        documents = body.get(name)
        if isinstance(documents, list) and len(documents) > limit:
            raise TooLarge(
                f"more than {limit:,} documents in one request (RERANKER_MAX_DOCUMENTS); "
                f"{IN_ROUNDS}"
            )
