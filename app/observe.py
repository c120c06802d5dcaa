"""One log line, one request id and one count for each request."""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid
from typing import Any

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import Metrics
from app.otlp import Spans
from app.trace import Trace
from models.rerank import TRACE, Ranking

_log = logging.getLogger("reranker.requests")

# Routes asked every few seconds by machines, or several times for one visit of the page.
_QUIET = ("/health", "/metrics", "/page/{name}", "/.well-known/live", "/.well-known/ready")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


class Observe:
    """Middleware that names, times, counts and logs; the text of documents stays out of it.

    A client's `X-Request-ID` is taken over if it is printable ASCII of at most 128 characters, and
    its trace is gone on with; each request is one of `spans` there, if these are wanted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, spans: Spans | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = _request_id(scope)
        state["trace"] = trace = Trace.of(Headers(scope=scope)) or (self._spans and Trace.begin())
        if trace:
            TRACE.set(trace.headers)
        start = time.perf_counter()
        status = 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                if "ranking" in state:
                    headers["Server-Timing"] = _server_timing(state)
                    headers.update(_incomplete(state["ranking"]))
            await send(message)

        try:
            with self._metrics.in_flight.track_inprogress():
                await self._app(scope, receive, observed)
        finally:
            self._record(scope, status, time.perf_counter() - start)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # Paths that are not served would make a label each.
        route = scope["route"].path if "route" in scope else "other"
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "request_id": scope["state"]["request_id"],
            "client": scope["client"][0] if scope["client"] else None,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "seconds": round(seconds, 4),
        }
        state = scope["state"]
        if ranking := state.get("ranking"):
            self._metrics.ranked(ranking)
            line |= {
                "documents": len(ranking.scores),
                "tokens": ranking.prompt_tokens,
                "reused_tokens": ranking.reused_tokens,
            }
            if ranking.truncated:
                line["truncated"] = len(ranking.truncated)
            if ranking.unranked:
                line["unranked"] = len(ranking.unranked)
            if "expected" in state:
                line["expected"] = round(state["expected"], 4)
            line |= {name: round(value, 4) for name, value in ranking.timings.items()}
        is_quiet = route in _QUIET or scope["method"] == "OPTIONS"
        is_quiet = is_quiet and status in (200, 204, 304)
        trace: Trace | None = scope["state"]["trace"]
        if trace:
            line |= {"trace_id": trace.trace_id, "span_id": trace.span_id}
        if trace and self._spans and not is_quiet:
            self._spans.add(trace, route, line)
        _log.log(logging.DEBUG if is_quiet else logging.INFO, "%s", orjson.dumps(line).decode())


def log_to_stdout() -> None:
    """Print the lines as they are, one JSON object each."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _log.handlers = [handler]
    _log.propagate = False
    _log.setLevel(logging.INFO)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _server_timing(state: dict[str, Any]) -> str:
    """The stages, and what the whole was expected to take."""
    ranking: Ranking = state["ranking"]
    times = ranking.timings.items()
    if "expected" in state:
        times.append(("expected", state["expected"]))
    return ", ".join(f"{name};dur={seconds * 1e3:.1f}" for name, seconds in times)


def _incomplete(ranking: Ranking) -> dict[str, str]:
    """The headers for documents that were cut, by number, and not ranked, first and last."""
    headers = {}
    if ranking.truncated:
        headers["X-Truncated-Documents"] = str(len(ranking.truncated))
    if ranking.unranked:
        headers["X-Unranked-Documents"] = f"{ranking.unranked[0]}-{ranking.unranked[-1]}"
    return headers
