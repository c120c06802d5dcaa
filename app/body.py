"""Reading a request body: bounded in size, parsed off the event loop when it is large."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from app.errors import Problem, TooLarge

# About a millisecond of parsing.
_LARGE_BODY_BYTES = 128 * 1024


class JSONRequest(Request):
    """A request that refuses bodies over `settings.max_body_bytes` and parses JSON in a thread.

    `parsed` is the body once it has been read.
    """

    parsed: Any = None

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Chunks of the body; raises `TooLarge` as soon as they are too many."""
        limit = self.app.state.settings.max_body_bytes
        received = int(self.headers.get("content-length", 0))
        _check_size(received, limit)
        received = 0
        async for chunk in super().stream():
            received += len(chunk)
            _check_size(received, limit)
            yield chunk

    async def json(self) -> Any:
        """The parsed body; raises `json.JSONDecodeError` however it is malformed."""
        body = await self.body()
        if len(body) < _LARGE_BODY_BYTES:
            self.parsed = _parse(body)
        else:
            self.parsed = await asyncio.to_thread(_parse, body)
        return self.parsed


class JSONRoute(APIRoute):
    """A route whose handler gets a `JSONRequest`, and whose errors have the shape of a dialect."""

    def error_body(self, request: JSONRequest, problem: Problem) -> dict[str, str]:
        """The dialect's JSON for `problem`."""
        raise NotImplementedError

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            http = JSONRequest(request.scope, request.receive)
            try:
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
