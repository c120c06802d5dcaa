"""Traces: taken over, sent on, logged, exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.datastructures import Headers

from app.trace import Trace
from models.llama.client import TRACE, LlamaServer
from tests.fake_server import FakeHandler
from toolkit.local_server import LocalServer
from toolkit.running import EXACT, Service, free_port, run_app, wait_until

TRACE_ID, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TOLD = f"00-{TRACE_ID}-{CALLER}-01"


def trace(*parents: str, state: str = "") -> Trace | None:
    told = [("traceparent", parent) for parent in parents]
    told += [("tracestate", state)] if state else []
    return Trace.of(Headers(raw=[(name.encode(), value.encode()) for name, value in told]))


@pytest.mark.parametrize(
    "told",
    [
        TOLD,
        f" {TOLD} ",
        f"01-{TRACE_ID}-{CALLER}-01",
        f"cc-{TRACE_ID}-{CALLER}-01-more",
    ],
)
def test_what_a_caller_told_is_gone_on_with(told: str) -> None:
    found = trace(told, state="vendor=1")

    assert found
    assert (found.trace_id, found.parent, found.is_sampled) == (TRACE_ID, CALLER, True)
    assert found.headers == {
        "traceparent": f"00-{TRACE_ID}-{found.span_id}-01",
        "tracestate": "vendor=1",
    }
    assert found.span_id != CALLER


@pytest.mark.parametrize(
    "told",
    [
        "",
        "00",
        TOLD.upper(),
        TOLD + "-more",
        TOLD.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"cc-{TRACE_ID}-{CALLER}-01.more",
        TOLD[:-1],
        "\n" + "x" * 5000,
    ],
)
def test_what_is_no_trace_is_none(told: str) -> None:
    assert trace(told) is None


def test_two_parents_are_none_and_too_much_state_is_dropped() -> None:
    assert trace(TOLD, TOLD) is None
    found = trace(TOLD, state="a=" + "x" * 600)
    assert found
    assert "tracestate" not in found.headers


class _Calls(FakeHandler):
    parents: list[str | None]

    def respond(self) -> None:
        self.parents.append(self.headers["traceparent"])
        self.answer(200, b'{"tokens": [1]}')


@pytest.mark.anyio
async def test_calls_to_llama_server_tell_the_trace() -> None:
    _Calls.parents = []
    with LocalServer(_Calls) as server:
        async with LlamaServer(server.url, 5) as client:
            await client.special_token("<s>")
            TRACE.set({"traceparent": TOLD})
            await client.special_token("<s>")

    assert _Calls.parents == [None, TOLD]


class _Collector(FakeHandler):
    """Any collector answers what this does."""

    spans: list[Span]

    def respond(self) -> None:
        told = ExportTraceServiceRequest.FromString(self.request_body())
        self.spans += [s for r in told.resource_spans for each in r.scope_spans for s in each.spans]
        self.answer(200, b"")


@pytest.fixture
def collector() -> Iterator[LocalServer]:
    _Collector.spans = []
    with LocalServer(_Collector) as server:
        yield server


def test_requests_are_spans(model: Path, exact_gguf: Path, collector: LocalServer) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    variables |= {"OTEL_EXPORTER_OTLP_COMPRESSION": "none", "RERANKER_GGUF": str(exact_gguf)}
    body = {"query": "soup?", "documents": ["the secret soup is served"]}
    with Service(model, **EXACT, **variables) as service:

        def ask(headers: dict[str, str]) -> None:
            answer = httpx.post(f"{service.url}/v1/rerank", json=body, headers=headers)
            answer.raise_for_status()

        ask({"traceparent": TOLD[:-1] + "0", "X-Request-ID": "not-sampled"})
        httpx.get(f"{service.url}/health").raise_for_status()
        ask({"traceparent": TOLD, "X-Request-ID": "told"})
        ask({"X-Request-ID": "begun"})
        wait_until(lambda: len(_Collector.spans) >= 2)

        told, begun = _Collector.spans
        attributes = {each.key: each.value for each in told.attributes}
        (line,) = [json.loads(line) for line in service.output.splitlines() if '"told"' in line]
        assert (told.trace_id.hex(), told.parent_span_id.hex()) == (TRACE_ID, CALLER)
        assert (line["trace_id"], line["span_id"]) == (TRACE_ID, told.span_id.hex())
        assert (told.name, told.kind) == ("POST /v1/rerank", Span.SPAN_KIND_SERVER)
        assert attributes["http.response.status_code"].int_value == 200
        assert attributes["reranker.documents"].int_value == 1
        assert 0 < told.end_time_unix_nano - told.start_time_unix_nano < 60e9
        assert not begun.parent_span_id
        assert begun.trace_id != told.trace_id
        assert "soup" not in str(_Collector.spans)

        # The collector goes away: nothing waits for it.
        collector.shutdown()
        collector.server_close()
        ask({})
        service.process.terminate()
        assert service.process.wait(60) == 0


def test_a_start_without_the_packages_is_refused(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['opentelemetry.exporter'] = None"
    (tmp_path / "sitecustomize.py").write_text(hidden)
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}

    refused = run_app("plan", str(tmp_path), PYTHONPATH=str(tmp_path), **endpoint)

    assert refused.returncode == 1
    assert "pip install -r requirements-otlp.txt" in refused.stderr
