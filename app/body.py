"""Reading a request body: bounded in size and time, parsed off the event loop when it is large."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import anyio
from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from app.admission import Place
from app.disconnect import ClientLeft
from app.drain import DrainedRoute
from app.errors import Problem, TooLarge
from app.service import Service
from app.settings import Settings

# About a millisecond of parsing.
_LARGE_BODY_BYTES = 128 * 1024
# Their names in the dialects.
_DOCUMENTS = ("documents", "texts")


class JSONRequest(Request):
    """A request that refuses bodies which are too large or too slow, and parses JSON in a thread.

    `parsed` is the body once it has been read. `place` is where its bytes count.
    """

    parsed: Any = None
    place: Place

    async def body(self) -> bytes:
        """The whole body; raises 408 if it takes too long, `ClientLeft`, or as `stream` does."""
        settings: Settings = self.app.state.settings
        try:
            with anyio.fail_after(settings.body_timeout_seconds):
                return await super().body()
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
        body = await self.body()
        if len(body) < _LARGE_BODY_BYTES:
            self.parsed = _parse(body)
        else:
            self.parsed = await asyncio.to_thread(_parse, body)
        # Not later: to validate a large body's millions of documents would take seconds.
        _check_count(self.parsed, self.app.state.settings.max_documents)
        return self.parsed


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

        async def handle(request: Request) -> Response:
            http = JSONRequest(request.scope, request.receive)
            service: Service = request.app.state.service
            deadline = anyio.fail_after(service.settings.timeout_seconds)
            try:
                with service.admission.admit() as http.place, deadline:
                    return await handler(http)
            except Exception as error:
                problem = Problem.of(error)
                body = self.error_body(http, problem)
                return JSONResponse(body, problem.status, problem.headers)

        return handle


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
                f"{len(documents):,} documents in one request; at most {limit:,} "
                "(RERANKER_MAX_DOCUMENTS), so send them in several requests"
            )


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("not UTF-8", "", error.start) from error
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error
    except ValueError as error:
        raise json.JSONDecodeError("a number has too many digits", "", 0) from error
