"""A caller's patience, before a llama-server that is slow."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.dialects import DIALECTS
from tests.in_process import Pointwise, app_of, client
from toolkit.running import EXACT, Service, wait_until
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
    body = slow.body(LARGE)
    start = time.perf_counter()
    refused = slow.ask(body, Prefer="respond-async, wait=0.4")
    until_refused = time.perf_counter() - start
    same = slow.ask(body | {"timeout_ms": 400})
    served = slow.ask(body, Prefer="wait=60")
    until_served = time.perf_counter() - start - until_refused

    assert refused.status_code == same.status_code == 503
    assert served.status_code == 200
    assert until_refused < until_served / 4
    detail = refused.json()["detail"]
    told = re.match(r"this would take about ([\d.]+) s, and of the 0\.4 s that it may take", detail)
    assert told, detail
    assert float(told[1]) > 0.4
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["Preference-Applied"] == "wait=0.4"
    assert "expected;dur=" in served.headers["Server-Timing"]


def test_the_wait_in_the_queue_counts(slow: Slow) -> None:
    small = slow.body(1, timeout_ms=900)
    assert slow.ask(small).status_code == 200
    with ThreadPoolExecutor(3) as others:
        large = [others.submit(slow.ask, slow.body(LARGE, 8)) for _ in range(3)]
        wait_until(lambda: slow.service.metric("prompts_waiting") == 2)

        refused = slow.ask(slow.body(1, timeout_ms=900))

        assert refused.status_code == 503
        assert "of them in the queue" in refused.json()["detail"]
        assert {each.result().status_code for each in large} == {200}
    # Nothing is left of what was refused.
    assert slow.ask(slow.body(1, timeout_ms=20_000)).status_code == 200


def test_partial_ranks_the_first_documents_as_if_there_were_no_others(slow: Slow) -> None:
    whole = slow.ask(slow.body(LARGE))
    took = next(
        float(stage.partition("=")[2])
        for stage in whole.headers["Server-Timing"].split(", ")
        if stage.startswith("model")
    )
    body = slow.body(LARGE)

    part = slow.ask(body | {"timeout_ms": int(took * 0.6), "partial": True})

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


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.NAME)
def test_refusals_of_each_dialect(slow: Slow, dialect: Any) -> None:
    path, name, more = BODIES[dialect.NAME]
    body = slow.body(LARGE)
    documents = body.pop("documents")
    if dialect.NAME == "vLLM":
        body["queries"] = body.pop("query")
    headers = {"Prefer": "wait=0.4", "X-Pinecone-API-Version": "2025-10"}
    if dialect.NAME != "Pinecone":
        del headers["X-Pinecone-API-Version"]
    else:
        documents = [{"text": document} for document in documents]

    refused = httpx.post(
        slow.service.url + path, json=body | {name: documents} | more, headers=headers
    )

    assert refused.status_code == 503
    assert set(refused.json()) == set(dialect.Error.__annotations__)
    assert "this would take about" in refused.text


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
        others.submit(slow.ask, slow.body(LARGE, 8))
        wait_until(lambda: slow.service.metric("requests_in_flight") == 2)
        for name in ("low", "lower"):
            others.submit(ask, name, **{"X-Priority": "low"})
        wait_until(lambda: slow.service.metric("prompts_waiting") == 2)
        others.submit(ask, "other")

    assert ends[0] == "other"
    assert sorted(ends[1:]) == ["low", "lower"]


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
