"""Prometheus metrics, and the route that shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from app.drain import DrainedRoute
from app.errors import error_answers
from app.service import ServiceDependency
from models.rerank import ModelError, Ranking

router = APIRouter(tags=["status"], route_class=DrainedRoute)

_EXAMPLE = """# HELP reranker_requests_total Requests answered.
# TYPE reranker_requests_total counter
reranker_requests_total{route="/v1/rerank",status="200"} 7.0
"""
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_DOCUMENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_TOKENS = tuple(2**i for i in range(8, 18))


class Metrics:
    """The metrics of one app. `restarts` is a file to which start.sh adds a line each time."""

    def __init__(self, restarts: Path | None) -> None:
        self.registry = CollectorRegistry()
        names: dict[str, Any] = {"registry": self.registry, "namespace": "reranker"}
        self.requests = Counter("requests", "Requests answered.", ["route", "status"], **names)
        self.seconds = Histogram(
            "request_seconds", "Time of a request.", ["route"], buckets=_SECONDS, **names
        )
        self.documents = Histogram(
            "request_documents", "Documents of a ranking.", buckets=_DOCUMENTS, **names
        )
        self.tokens = Histogram(
            "request_tokens", "Tokens of a ranking's prompts.", buckets=_TOKENS, **names
        )
        self.reused_tokens = Counter(
            "reused_tokens", "Tokens that were in llama-server's cache.", **names
        )
        self.truncated = Counter("truncated_documents", "Documents that were cut.", **names)
        self.unranked = Counter(
            "unranked_documents", "Documents left out for lack of time.", **names
        )
        self.stages = Counter("stage_seconds", "Time of rankings by stage.", ["stage"], **names)
        self.in_flight = Gauge("requests_in_flight", "Requests under way.", **names)
        self.waiting = Gauge("prompts_waiting", "Prompts that wait for a slot.", **names)
        self.model = Info("model", "The model served.", **names)
        self.llama_server_up = Gauge("llama_server_up", "1 if llama-server is ready.", **names)
        self.registry.register(_Restarts(restarts))
        ProcessCollector(registry=self.registry)

    def ranked(self, ranking: Ranking) -> None:
        """Count one ranking."""
        self.documents.observe(len(ranking.scores))
        self.tokens.observe(ranking.prompt_tokens)
        self.reused_tokens.inc(ranking.reused_tokens)
        self.truncated.inc(len(ranking.truncated))
        self.unranked.inc(len(ranking.unranked))
        for stage, seconds in ranking.timings.items():
            self.stages.labels(stage).inc(seconds)


class _Restarts(Collector):
    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lines = 0
        self._lines_of_lost_files = 0

    def collect(self) -> Iterator[Metric]:
        lines = self._count_lines()
        # Temporary files are cleaned away, and this one then begins anew.
        if lines < self._lines:
            self._lines_of_lost_files += self._lines
        self._lines = lines
        yield CounterMetricFamily(
            "reranker_llama_server_restarts",
            "Starts of llama-server after it died.",
            self._lines_of_lost_files + lines,
        )

    def _count_lines(self) -> int:
        try:
            return self._path.read_bytes().count(b"\n") if self._path else 0
        except OSError:
            return 0


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}}},
        **error_answers(401),
    },
)
async def metrics(request: Request, service: ServiceDependency) -> Response:
    """Metrics in the text format of Prometheus."""
    shown: Metrics = request.app.state.metrics
    card = service.model.card
    shown.model.info({"name": card.name, "kind": card.kind, "score": card.score})
    shown.waiting.set(service.model.waiting)
    try:
        await service.model.check()
        shown.llama_server_up.set(1)
    except ModelError:
        shown.llama_server_up.set(0)
    return Response(generate_latest(shown.registry), media_type=CONTENT_TYPE_LATEST)
