"""A caller's patience, before a llama-server that is slow."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest

from app.client import Candidate, CircuitBreaker, Reranker, TooLate
from app.dialects.spoken import DIALECTS
from app.forecast import Expected, Job
from tests.fake_server import FakeHandler
from tests.in_process import Pointwise, app_of, client
from toolkit.local_server import LocalServer
from toolkit.running import EXACT, Service, run_app, wait_until
from toolkit.slow_llama_server import SlowLlamaServer, Slowness

WORDS = "soup noon meeting kitchen umbrella two winter rain".split()
SLOW = Slowness(call=0.01, token=0.0005)
LARGE = 30
# The documents of each dialect, and what else it is known by.
BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Jina": ("/rerank", "documents", {}),
    "Cohere, version 2": ("/v2/rerank", "documents", {}),
    "text-embeddings-inference": ("/rerank", "texts", {}),
    "Voyage": ("/v1/rerank", "documents", {"top_k": 3}),
    "NVIDIA NIM": ("/v1/ranking", "passages", {}),
    "Mixedbread": ("/v1/reranking", "input", {}),
    "ZeroEntropy": ("/v1/models/rerank", "documents", {}),
    "Pinecone": ("/rerank", "documents", {"rank_fields": ["text"]}),
    "Weaviate": ("/rerank", "documents", {"property": "text"}),
    "vLLM": ("/score", "documents", {}),
}


class Slow:
    """A service before a slow llama-server, and requests of which each is another."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._source = random.Random(0)

    def body(self, documents: int, words: int = 4, **more: Any) -> dict[str, Any]:
        """A request's body."""
        texts = [" ".join(self._source.choices(WORDS, k=words)) for _ in range(documents)]
        return {"query": f"soup {self._source.random()}?", "documents": texts} | more

    def time(self, documents: int) -> float:
        """Seconds of a request of so many documents."""
        start = time.perf_counter()
        assert self.ask(self.body(documents)).status_code == 200
        return time.perf_counter() - start

    def ask(self, body: dict[str, Any], **headers: str) -> httpx.Response:
        """The answer of /rerank."""
        return httpx.post(f"{self.service.url}/rerank", json=body, headers=headers, timeout=120)


@pytest.fixture(scope="module")
def slow(service: Service, model: Path, exact_gguf: Path) -> Iterator[Slow]:
    """Warm: it has measured enough."""
    with SlowLlamaServer(service.llama_server_url, SLOW) as server:
        settings = EXACT | service.as_outside_llama_server | {"LLAMA_SERVER_URL": server.url}
        with Service(model, RERANKER_GGUF=str(exact_gguf), **settings) as running:
            asked = Slow(running)
            for documents in (1, 3, LARGE, 8, 2):
                # What is not known yet is not refused.
                answer = asked.ask(asked.body(documents, timeout_ms=60_000))
                assert answer.status_code == 200
            yield asked


def test_what_would_come_too_late_is_refused_at_once(slow: Slow) -> None:
    body, took = slow.body(LARGE), slow.time(LARGE)
    wait = f"{took / 2:.3f}"
    start = time.perf_counter()
    refused = slow.ask(body, Prefer=f"respond-async, wait={wait}")
    until_refused = time.perf_counter() - start
    same = slow.ask(body | {"timeout_ms": int(took * 500)})
    served = slow.ask(body, Prefer="wait=600")

    assert refused.status_code == same.status_code == 503
    assert served.status_code == 200
    assert until_refused < took / 2
    assert re.match(r"this would take about [\d.]+ s, and of the ", refused.json()["detail"])
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["Preference-Applied"] == f"wait={float(wait):g}"
    assert "expected;dur=" in served.headers["Server-Timing"]


def test_the_wait_in_the_queue_counts(slow: Slow) -> None:
    took = slow.time(LARGE)
    with ThreadPoolExecutor(4) as others:
        large = [others.submit(slow.ask, slow.body(LARGE, 8)) for _ in range(4)]
        wait_until(lambda: slow.service.metric("prompts_waiting") == 3)

        refused = slow.ask(slow.body(1, timeout_ms=int(took * 1000)))

        assert refused.status_code == 503
        assert "of them in the queue" in refused.json()["detail"]
        assert {each.result().status_code for each in large} == {200}
    # Nothing is left of what was refused.
    assert slow.ask(slow.body(1, timeout_ms=60_000)).status_code == 200


def test_partial_ranks_the_first_documents_as_if_there_were_no_others(slow: Slow) -> None:
    body = slow.body(LARGE)
    # A machine that has other things to do meanwhile may take longer than it was expected to.
    for _ in range(8):
        patience = int(slow.time(LARGE) * 600)
        part = slow.ask(body | {"timeout_ms": patience, "partial": True})
        if part.status_code == 200 and "unranked" in part.json():
            break

    assert part.status_code == 200, part.text
    answer = part.json()
    ranked = len(answer["results"])
    assert 0 < ranked < LARGE
    assert answer["unranked"] == list(range(ranked, LARGE))
    assert part.headers["X-Unranked-Documents"] == f"{ranked}-{LARGE - 1}"
    (warning,) = answer["meta"]["warnings"]
    assert f"not ranked, for lack of time: {ranked} to {LARGE - 1}" in warning
    alone = slow.ask(body | {"documents": body["documents"][:ranked]}).json()
    scores = {result["index"]: result["relevance_score"] for result in alone["results"]}
    assert {r["index"]: r["relevance_score"] for r in answer["results"]} == pytest.approx(
        scores, abs=1e-4
    )
    assert "unranked" not in alone
    # Where not even one document fits, nothing is made up.
    assert slow.ask(body | {"timeout_ms": 1, "partial": True}).status_code in (503, 504)


@pytest.mark.anyio
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.NAME)
async def test_refusals_of_each_dialect(monkeypatch: pytest.MonkeyPatch, dialect: Any) -> None:
    monkeypatch.setattr(Job, "glance", lambda *_: [Expected(wait=9, total=12)])
    path, name, more = BODIES[dialect.NAME]
    query = "queries" if dialect.NAME == "vLLM" else "query"
    documents: list[Any] = ["a"]
    headers = {"Prefer": "wait=5"}
    if dialect.NAME == "Pinecone":
        documents = [{"text": "a"}]
        headers["X-Pinecone-API-Version"] = "2025-10"
    async with client(app_of(Pointwise())) as asking:
        refused = await asking.post(
            path, json={query: "q", name: documents} | more, headers=headers
        )

    assert refused.status_code == 503
    assert set(refused.json()) == set(dialect.Error.__annotations__)
    told = "this would take about 12 s, 9.0 s of them in the queue, and of the 5 s that it may take"
    assert told in refused.text
    assert int(refused.headers["Retry-After"]) in (7, 8)


def test_expected_times_come_true(slow: Slow) -> None:
    """As far as a machine that does other things too lets them: bench/patience.py measures it."""
    times = []
    for documents in (1, 20, 4, 12, 2, 16, 8, 1, 20, 6):
        start = time.perf_counter()
        answer = slow.ask(slow.body(documents, words=documents % 5 + 3))
        seconds = time.perf_counter() - start
        expected = re.search(r"expected;dur=([\d.]+)", answer.headers["Server-Timing"])
        assert expected
        times.append((seconds, float(expected[1]) / 1e3))
    measured, foretold = np.log(times).T

    assert np.corrcoef(measured, foretold)[0, 1] > 0.7
    assert 1 / 2 < np.exp(np.median(foretold - measured)) < 2


def test_low_priority_lets_others_pass(slow: Slow) -> None:
    ends: list[str] = []

    def ask(name: str, **headers: str) -> None:
        assert slow.ask(slow.body(5), **headers).status_code == 200
        ends.append(name)

    with ThreadPoolExecutor(4) as others:
        others.submit(slow.ask, slow.body(2 * LARGE, 8))
        wait_until(lambda: slow.service.metric("requests_in_flight") == 2)
        for name in ("low", "lower"):
            others.submit(ask, name, **{"X-Priority": "low"})
        wait_until(lambda: slow.service.metric("prompts_waiting") == 2)
        others.submit(ask, "other")

    assert ends[0] == "other"
    assert sorted(ends[1:]) == ["low", "lower"]


class Hasty(FakeHandler):
    """Has no time, or time for two documents where part of a ranking will do."""

    preferences: ClassVar[list[str | None]] = []

    def respond(self) -> None:
        self.preferences.append(self.headers.get("Prefer"))
        if json.loads(self.request_body()).get("partial"):
            results = [{"index": i, "relevance_score": 0.5} for i in (1, 0)]
            self.answer(200, json.dumps({"results": results, "unranked": [2]}).encode())
            return
        self.send_response(503)
        self.send_header("Preference-Applied", "wait=5")
        self.send_header("Content-Length", "0")
        self.end_headers()


def test_client_tells_its_patience() -> None:
    candidates = [Candidate(text, similarity=1.0) for text in "abc"]
    with LocalServer(Hasty) as server:
        hasty = Reranker(server.url, timeout=5, breaker=CircuitBreaker(pause=600))
        with pytest.raises(TooLate) as refused:
            hasty.rerank("q", ["a", "b", "c"])
        assert hasty.rerank_or_fallback("q", candidates) == candidates
        # That was no outage: the next one is asked for.
        assert hasty.rerank_or_fallback("q", candidates) == candidates
        part = hasty.rerank("q", ["a", "b", "c"], partial=True)
        best = hasty.rerank("q", ["a", "b", "c"], top_n=2, partial=True)
        hasty.close()

    assert refused.value.status == 503
    assert Hasty.preferences == ["wait=5.000", *["wait=4.500"] * 2, *["wait=5.000"] * 2]
    assert [result.index for result in part] == [1, 0]
    assert part.unranked == best.unranked == [2]


class Priorities(FakeHandler):
    """Ranks one document, and remembers the priorities of requests."""

    seen: ClassVar[list[str | None]] = []

    def respond(self) -> None:
        self.request_body()
        self.seen.append(self.headers.get("X-Priority"))
        self.answer(200, b'{"results": [{"index": 0, "relevance_score": 0.5}]}')


def test_a_batch_lets_others_pass(tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    requests.write_text('{"query": "q", "documents": ["a"]}\n')
    with LocalServer(Priorities) as server:
        done = run_app(
            "batch", str(requests), "--out", str(tmp_path / "out.jsonl"), RERANKER_URL=server.url
        )

    assert done.returncode == 0, done.stderr
    assert Priorities.seen == ["low"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("prefer", "honoured"),
    [
        ("wait=0", True),
        ('return=minimal, WAIT = "0"', True),
        ("wait=0; strict", True),
        ("wait=soon", False),
        ("waits=0", False),
        ("wait=-1", False),
        (",", False),
    ],
)
async def test_preferences(prefer: str, honoured: bool) -> None:
    body = {"query": "q", "documents": ["a"]}
    async with client(app_of(Pointwise())) as asking:
        answer = await asking.post("/rerank", json=body, headers={"Prefer": prefer})

    assert answer.status_code == (504 if honoured else 200)
    if honoured:
        assert "not done within the 0 s" in answer.json()["detail"]


@pytest.mark.anyio
@pytest.mark.parametrize("timeout_ms", [0, -1, 1.5, "5"])
async def test_wrong_patience_is_named(timeout_ms: object) -> None:
    body = {"query": "q", "documents": ["a"], "timeout_ms": timeout_ms}
    async with client(app_of(Pointwise())) as asking:
        answer = await asking.post("/rerank", json=body)

    assert answer.status_code == 422
    assert "timeout_ms" in answer.json()["detail"]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["vLLM", "Weaviate"])
async def test_partial_is_refused_where_every_document_has_its_score(name: str) -> None:
    path, documents, more = BODIES[name]
    query = "queries" if name == "vLLM" else "query"
    body = {query: "q", documents: ["a"], "partial": True} | more
    async with client(app_of(Pointwise())) as asking:
        answer = await asking.post(path, json=body)

    assert answer.status_code == 422
    assert "partial" in answer.text
