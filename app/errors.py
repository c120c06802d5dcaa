"""What went wrong, as a status and a sentence that says what to do."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.methods import allowed
from models.rerank import (
    DoesNotFit,
    ModelError,
    TookTooLong,
    TooLong,
    TooManyPassages,
    Unavailable,
)

_log = logging.getLogger("uvicorn.error")

_RETRY_AFTER = {"Retry-After": "5"}
# What to do with more documents than one request takes.
IN_ROUNDS = "rank them in two rounds: the best of each part, by top_n, and then these together"
_UNEXPECTED = "internal error; see the log of the service"


@dataclass(frozen=True)
class Problem:
    """An HTTP status, what is wrong and what to do, and headers."""

    status: int
    detail: str
    headers: Mapping[str, str] | None = None

    @classmethod
    def of(cls, error: Exception) -> Problem:
        """What to tell the client about `error`, which is logged unless the client made it."""
        match error:
            case RequestValidationError():
                return cls(422, describe(error.errors()))
            case HTTPException():
                return cls(error.status_code, error.detail, error.headers)
            case DoesNotFit():
                return cls(422, f"{error}; shorten them or raise LLAMA_ARG_CTX_SIZE")
            case TooLong():
                return cls(422, f"{error}; shorten it, or let it be truncated")
            case TooManyPassages():
                return cls(
                    413,
                    f"{error} (RERANKER_MAX_PASSAGES); send less of each with "
                    f'"max_chunks_per_doc", or {IN_ROUNDS}',
                )
            case TimeoutError() | TookTooLong():
                return cls(
                    504,
                    "the request took too long; send fewer or shorter documents, "
                    "or raise RERANKER_TIMEOUT_SECONDS",
                )
            case ModelError():
                passes = isinstance(error, Unavailable)
                _log.log(logging.WARNING if passes else logging.ERROR, "%s", error)
                return cls(503, error.told, _RETRY_AFTER if error.may_pass else None)
        _log.error("unexpected error", exc_info=error)
        return cls(500, _UNEXPECTED)


# What the statuses of errors mean.
MEANINGS = {
    401: "no key of RERANKER_API_KEY was sent",
    404: "there is no such model",
    408: "the body came too slowly",
    413: "more than the service takes in one request",
    422: "a field is missing or wrong",
    429: "the queue is full; come back after the seconds of Retry-After",
    500: "an error of the service itself, which its log tells",
    503: "llama-server is not ready or failed, the service ends, or it would come too late",
    504: "it took too long",
}


class Detail(BaseModel):
    """What is wrong and what to do."""

    detail: str


def error_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the API's description says of errors outside of the dialects."""
    return {
        status: {
            "model": Detail,
            "description": MEANINGS[status],
            "content": {"application/json": {"example": {"detail": MEANINGS[status]}}},
        }
        for status in statuses
    }


class TooLarge(HTTPException):
    """More than the service takes in one request: 413."""

    def __init__(self, detail: str) -> None:
        super().__init__(413, detail)


def add_error_handlers(app: FastAPI) -> None:
    """Answer errors outside of the dialects with `{"detail": …}`."""

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def not_served(request: Request, error: HTTPException) -> Response:
        headers = {}
        if error.status_code == 405:
            headers["Allow"] = allowed((error.headers or {})["Allow"])
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=headers)
        detail = error.detail
        if detail == HTTPStatus(error.status_code).phrase:
            path = request.scope["path"]
            detail = f"{request.method} {path} is not served; {_advice(request, path)}"
        return JSONResponse({"detail": detail}, error.status_code, headers)

    @app.exception_handler(ModelError)
    async def known(_: Request, error: ModelError) -> JSONResponse:
        problem = Problem.of(error)
        return JSONResponse({"detail": problem.detail}, problem.status, problem.headers)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": _UNEXPECTED}, 500)


def _advice(request: Request, path: str) -> str:
    described = request.app.openapi()["paths"]
    meant = max((served for served in described if path.endswith(served)), key=len, default="")
    if meant and meant != path:
        return f"{meant} is: take {path.removesuffix(meant)} out of the base URL of the client"
    return "/docs lists what is"


class StartUpMessage:
    """Reports a failed start-up by its message alone: a traceback does not help who configures."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, shortening one message."""

        async def shortened(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message["message"] = message["message"].strip().rpartition("\n")[2]
            await send(message)

        await self._app(scope, receive, shortened if scope["type"] == "lifespan" else send)


def describe(errors: Sequence[Any]) -> str:
    """One sentence for each field that pydantic refused, naming the field."""
    sentences = {_field(error["loc"]): _problem(error) for error in errors}
    return "; ".join(f"{field}: {problem}" for field, problem in sentences.items())


def _field(location: Sequence[str | int]) -> str:
    # Nothing or "body" and whatever follows: no field, but the body as a whole.
    if not location or location[0] == "body":
        return "body"
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")


def _problem(error: Any) -> str:
    kind, message = error["type"], error["msg"]
    if kind == "json_invalid":
        return f"malformed JSON at character {error['loc'][-1]}: {error['ctx']['error']}"
    if kind.startswith("model_"):
        return "must be a JSON object, sent with Content-Type: application/json"
    return str(message[:1].lower() + message[1:])
