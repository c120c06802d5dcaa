"""Metrics, log lines, request ids and timings."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import Metrics
from toolkit.running import EXACT, ROOT, Service, wait_until

DOCUMENTS = ["the secret soup is served", "noon"]


@pytest.fixture(scope="module")
def watched(model: Path, exact_gguf: Path) -> Iterator[Service]:
    """A service whose counts nobody else changes."""
    with Service(model, RERANKER_GGUF=str(exact_gguf), **EXACT) as running:
        yield running


def samples(service: Service) -> dict[str, float]:
    """Value of each series, written as Prometheus does."""
    text = httpx.get(f"{service.url}/metrics").raise_for_status().text
    return {
        sample.name + json.dumps(sample.labels, sort_keys=True): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics(watched: Service) -> None:
    before = samples(watched)
    tokens = 0
    for _ in range(2):
        usage = watched.rerank(query="soup?", documents=DOCUMENTS).json()["usage"]
        tokens += usage["prompt_tokens"]
    watched.rerank(query="", documents=DOCUMENTS)
    httpx.get(f"{watched.url}/nothing/{os.getpid()}")

    after = before

    def grown(name: str, **labels: str) -> float:
        series = name + json.dumps(labels, sort_keys=True)
        return after.get(series, 0) - before.get(series, 0)

    def all_counted() -> bool:
        nonlocal after
        after = samples(watched)
        return grown("reranker_requests_total", route="other", status="404") == 1

    # A request is counted when its answer is out.
    wait_until(all_counted)
    assert grown("reranker_requests_total", route="/rerank", status="200") == 2
    assert grown("reranker_requests_total", route="/rerank", status="422") == 1
    assert grown("reranker_requests_total", route="other", status="404") == 1
    assert grown("reranker_request_seconds_count", route="/rerank") == 3
    assert grown("reranker_request_documents_sum") == 4
    assert grown("reranker_request_tokens_sum") == tokens
    # The second request is the first one again.
    assert grown("reranker_reused_tokens_total") >= tokens / 2
    for stage in ("queue", "tokenize", "model", "projector"):
        assert grown("reranker_stage_seconds_total", stage=stage) > 0
    assert after["reranker_requests_in_flight{}"] == 1  # the one that asks
    assert after["reranker_prompts_waiting{}"] == 0
    assert after["reranker_llama_server_up{}"] == 1
    assert after["reranker_llama_server_restarts_total{}"] == 0


def test_restarts_are_counted(model: Path, exact_gguf: Path) -> None:
    with Service(model, RERANKER_GGUF=str(exact_gguf), **EXACT) as service:
        service.llama_server.send_signal(signal.SIGKILL)
        wait_until(lambda: samples(service)["reranker_llama_server_up{}"] == 0)
        wait_until(lambda: samples(service)["reranker_llama_server_up{}"] == 1)

        assert samples(service)["reranker_llama_server_restarts_total{}"] == 1


def test_restarts_are_counted_though_their_file_is_cleaned_away(tmp_path: Path) -> None:
    path = tmp_path / "restarts"
    metrics = Metrics(path)

    def counted() -> float | None:
        return metrics.registry.get_sample_value("reranker_llama_server_restarts_total")

    def restart() -> None:
        with path.open("a") as file:
            file.write("restart\n")

    assert counted() == 0
    restart()
    restart()
    assert counted() == 2
    path.unlink()
    assert counted() == 2
    restart()
    assert counted() == 3
    path.unlink()
    path.mkdir()
    assert counted() == 3


def test_request_id_is_taken_over_and_made(watched: Service) -> None:
    def answered(**headers: str) -> str:
        return httpx.get(f"{watched.url}/v1/models", headers=headers).headers["X-Request-ID"]

    assert answered(**{"X-Request-ID": "abc-1"}) == "abc-1"
    assert re.fullmatch(r"[0-9a-f]{32}", answered())
    assert len(answered(**{"X-Request-ID": "x" * 300})) == 32
    assert answered() != answered()


def test_log_line(watched: Service) -> None:
    headers = {"X-Request-ID": "logged-1"}
    body = {"query": "soup?", "documents": DOCUMENTS}
    httpx.post(f"{watched.url}/v1/rerank", json=body, headers=headers).raise_for_status()

    wait_until(lambda: '"logged-1"' in watched.output)
    (line,) = [line for line in watched.output.splitlines() if '"logged-1"' in line]

    entry = json.loads(line)
    assert entry["method"] == "POST"
    assert entry["path"] == "/v1/rerank"
    assert entry["status"] == 200
    assert entry["documents"] == 2
    assert entry["tokens"] > 200
    stages = sum(entry[stage] for stage in ("queue", "tokenize", "model", "projector"))
    assert 0 < stages <= entry["seconds"] + 0.001
    assert "secret" not in watched.output
    assert "soup" not in watched.output


def test_health_checks_are_not_logged(watched: Service) -> None:
    headers = {"X-Request-ID": "health-1"}
    httpx.get(f"{watched.url}/health", headers=headers).raise_for_status()
    httpx.get(f"{watched.url}/nothing", headers=headers)

    wait_until(lambda: '"/nothing"' in watched.output)
    assert len(re.findall('"health-1"', watched.output)) == 1


def test_server_timing(watched: Service) -> None:
    answer = watched.rerank(query="when?", documents=DOCUMENTS)

    stages = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.headers["Server-Timing"]))
    assert list(stages) == ["queue", "tokenize", "model", "projector"]
    assert float(stages["model"]) > 0


def test_dashboard_and_scrape_example(watched: Service) -> None:
    watched.rerank(query="when?", documents=DOCUMENTS)
    names = {series.partition("{")[0] for series in samples(watched)}
    dashboard = json.loads((ROOT / "deploy/grafana.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]

    used = {name for query in queries for name in re.findall(r"\b(?:reranker|process)_\w+", query)}

    assert len(queries) >= 8
    assert used <= names
    assert "/metrics" in (ROOT / "deploy/prometheus.yml").read_text()
