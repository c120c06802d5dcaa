"""Reading a request body: bounded in size and time, parsed off the event loop when it is large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, get_args

import anyio
from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from app.admission import Place
from app.disconnect import ClientLeft
from app.drain import DrainedRoute
from app.errors import Problem, TooLarge
from app.excerpt import Excerpt, has_more_values, size
from app.service import Service
from app.settings import Settings

# About a millisecond of parsing.
_LARGE_BODY_BYTES = 128 * 1024
# Some ten milliseconds.
_MOST_VALUES = 1_000_000
# Their names in the dialects.
_DOCUMENTS = ("documents", "texts")
# Parsing holds the interpreter's lock: two at a time would hold up the event loop twice as long.
_parsing = ThreadPoolExecutor(1, "parsing")


class JSONRequest(Request):
    """A request that refuses bodies which are too large or too slow, and parses JSON in a thread.

    `parsed` is what `excerpt` finds in the body once it has been read. `place` is where its memory
    counts.
    """

    parsed: Any = None
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
        """The parsed body; raises `json.JSONDecodeError` however it is malformed, or `TooLarge`."""
        await self.body()
        content, self._content = self._content or b"", b""
        if len(content) < _LARGE_BODY_BYTES:
            self.parsed = self._parse(content)
        else:
            loop = asyncio.get_running_loop()
            self.parsed = await loop.run_in_executor(_parsing, self._parse, content)
        _check_count(self.parsed, self.app.state.settings.max_documents)
        # Texts take up to four times the memory of their bytes, what was passed over none.
        self.place.grow(size(self.parsed) - len(content))
        return self.parsed

    def _parse(self, content: bytes) -> Any:
        if has_more_values(content, _MOST_VALUES):
            raise TooLarge(
                f"the body has more than {_MOST_VALUES:,} values; send the documents in several "
                "requests, or without what is not to be ranked"
            )
        return self.excerpt.of(content)


class JSONRoute(DrainedRoute):
    """A route whose handler gets a `JSONRequest`, and whose errors have the shape of a dialect.

    A request has its place and its deadline from before its body is read.
    """

    waits = True

    def error_body(self, request: JSONRequest, problem: Problem) -> dict[str, str]:
        """The dialect's JSON for `problem`."""
        raise NotImplementedError

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handler = super().get_route_handler()
        fields = _fields(self.body_field.field_info.annotation if self.body_field else None)

        async def handle(request: Request) -> Response:
            http = JSONRequest(request.scope, request.receive)
            service: Service = request.app.state.service
            http.excerpt = _excerpt(fields, service.settings.max_documents)
            deadline = anyio.fail_after(service.settings.timeout_seconds)
            try:
                with service.admission.admit() as http.place, deadline:
                    return await handler(http)
            except Exception as error:
                problem = Problem.of(error)
                body = self.error_body(http, problem)
                return JSONResponse(body, problem.status, problem.headers)

        return handle


@cache
def _excerpt(fields: frozenset[str], limit: int) -> Excerpt:
    return Excerpt(fields, limit)


def _fields(annotation: Any) -> frozenset[str]:
    """Names of the fields of a model, or of all models in a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return frozenset(annotation.model_fields)
    return frozenset[str]().union(*map(_fields, get_args(annotation)))


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(
            f"the body is larger than {limit:,} bytes (RERANKER_MAX_BODY_BYTES); "
            "send the documents in several requests"
        )


def _check_count(parsed: Any, limit: int) -> None:
    for name in _DOCUMENTS:
        documents = parsed.get(name) if isinstance(parsed, dict) else None
        if isinstance(documents, list) and len(documents) > limit:
            raise TooLarge(
                f"more than {limit:,} documents in one request (RERANKER_MAX_DOCUMENTS); "
                "send them in several requests"
            )
