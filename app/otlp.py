"""Requests as spans of OpenTelemetry, exported where its own variables say; off without them."""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from app.trace import Trace

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SERVICE = "jina-reranker"
_SECONDS_TO_END = 2
_IDS = ("trace_id", "span_id")


def endpoint() -> str | None:
    """The variable that names a collector, None if none does or tracing is off."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    return next((name for name in _ENDPOINTS if os.environ.get(name)), None)


def is_installed() -> bool:
    """Whether the packages are there, which the image does without."""
    try:
        return bool(importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http"))
    except ModuleNotFoundError:
        return False


class Spans:
    """Sends requests to the collector in batches, from a thread; drops them if it is away."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        named = os.environ.get("OTEL_SERVICE_NAME") or _SERVICE
        self._resource = Resource.create({SERVICE_NAME: named})
        self._processor = BatchSpanProcessor(OTLPSpanExporter())

    def add(self, trace: Trace, route: str, line: Mapping[str, Any]) -> None:
        """A request to `route` that has just been answered, as its `line` of the log tells."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        if not trace.is_sampled:
            return

        def context(span_id: str, is_remote: bool) -> SpanContext:
            flags = TraceFlags(TraceFlags.SAMPLED)
            return SpanContext(int(trace.trace_id, 16), int(span_id, 16), is_remote, flags)

        failed = line["status"] >= 500
        end = time.time_ns()
        self._processor.on_end(
            ReadableSpan(
                f"{line['method']} {route}",
                context(trace.span_id, is_remote=False),
                context(trace.parent, is_remote=True) if trace.parent else None,
                self._resource,
                _attributes(route, line),
                kind=SpanKind.SERVER,
                status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
                start_time=end - int(line["seconds"] * 1e9),
                end_time=end,
            )
        )

    def close(self) -> None:
        """Send what is left, if that takes no longer than a moment."""
        # Where the collector is away, the package would try for half a minute.
        ending = threading.Thread(target=self._processor.shutdown, daemon=True)
        ending.start()
        ending.join(_SECONDS_TO_END)


def _attributes(route: str, line: Mapping[str, Any]) -> dict[str, Any]:
    """Under OpenTelemetry's names where it has any."""
    told = {
        "http.route": route,
        "http.request.method": line["method"],
        "http.response.status_code": line["status"],
        "url.path": line["path"],
    }
    own = line.keys() - {"time", "method", "status", "path", "seconds", "client", *_IDS}
    return told | {f"reranker.{name}": line[name] for name in sorted(own)}
