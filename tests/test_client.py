"""The client for applications, with a service that is killed and comes back."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from app.client import (
    AsyncReranker,
    Candidate,
    CircuitBreaker,
    Fallback,
    RequestError,
    Reranker,
    RerankerError,
    Results,
)
from tests.fake_server import FakeHandler
from toolkit.local_server import LocalServer
from toolkit.running import Service, free_port, wait_until

QUERY = "meeting tomorrow"
TEXTS = ["We ate stew.", "The quality meeting is tomorrow.", "A cat sleeps.", "Pay the invoice."]
# Similarities that put the texts in another order than the service does.
SIMILARITIES = [0.1, 0.2, 0.9, 0.4]
CANDIDATES = [Candidate(text, s) for text, s in zip(TEXTS, SIMILARITIES, strict=True)]
BY_SIMILARITY = [TEXTS[i] for i in (2, 3, 1, 0)]


def texts(candidates: list[Candidate]) -> list[str]:
    return [candidate.text for candidate in candidates]


def scores(results: Results) -> list[dict[str, float]]:
    return [{"index": r.index, "relevance_score": r.relevance_score} for r in results]


def order_of(service: Service) -> list[int]:
    results = service.rerank(query=QUERY, documents=TEXTS).json()["results"]
    return [result["index"] for result in results]


def test_results_are_those_of_a_plain_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANKER_URL", service.url + "/")
    monkeypatch.setenv("RERANKER_MODEL", "tiny")
    plain = service.rerank(query=QUERY, documents=TEXTS, top_n=3, instruction="food").json()
    with Reranker() as client:
        assert scores(client.rerank(QUERY, TEXTS, 3, "food")) == plain["results"]
        assert client.rerank(QUERY, []) == []
        assert len(client.rerank(QUERY, TEXTS, top_n=0)) == 4

    async def ask() -> list[dict[str, float]]:
        async with AsyncReranker() as client:
            return scores(await client.rerank(QUERY, TEXTS, 3, "food"))

    assert asyncio.run(ask()) == plain["results"]


def test_top_n_means_the_same_without_a_server(service: Service) -> None:
    up, down = Reranker(service.url), Reranker(f"http://127.0.0.1:{free_port()}")
    for client in (up, down):
        for top_n, count in [
            (None, 4),
            (0, 4),
            (1, 1),
            (3, 3),
            (9, 4),
            (-1, 4),
            ("2", 4),
            (1.5, 4),
        ]:
            found = client.rerank_or_fallback(QUERY, CANDIDATES, top_n)  # type: ignore[arg-type]
            assert len(found) == count, top_n
        with pytest.raises(RequestError, match="top_n is a number of results"):
            client.rerank(QUERY, TEXTS, top_n=-1)


def test_errors_say_what_to_do(service: Service) -> None:
    with pytest.raises(RerankerError, match="did you mean http://localhost:7998"):
        Reranker("localhost:7998")
    with pytest.raises(RerankerError, match="is no address"):
        Reranker("http://localhost:port")
    with pytest.raises(RerankerError, match="is the service up, and RERANKER_URL right") as caught:
        Reranker(f"http://127.0.0.1:{free_port()}").rerank(QUERY, TEXTS)
    assert caught.value.status is None
    with pytest.raises(RerankerError, match="top_n") as caught:
        Reranker(service.url).rerank(QUERY, TEXTS, top_n=-1)
    assert caught.value.status == 422


def test_a_key_from_the_environment_is_sent(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(model, RERANKER_API_KEY="secret") as running:
        with pytest.raises(RerankerError, match="401"):
            Reranker(running.url).rerank(QUERY, TEXTS)
        monkeypatch.setenv("RERANKER_API_KEY", "secret")
        assert len(Reranker(running.url).rerank(QUERY, TEXTS)) == 4


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_service_that_dies_is_done_without_until_it_is_back(
    kind: str, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "reranker")
    running = Service(model)
    loop = asyncio.new_event_loop()
    client_type = Reranker if kind == "sync" else AsyncReranker
    client = client_type(running.url, breaker=CircuitBreaker(pause=0.2))

    def ranked() -> list[str]:
        answer = client.rerank_or_fallback(QUERY, CANDIDATES)
        if isinstance(answer, list):
            return texts(answer)
        return texts(loop.run_until_complete(answer))

    with running:
        by_model = [TEXTS[i] for i in order_of(running)]
        assert by_model != BY_SIMILARITY
        assert ranked() == by_model
        assert caplog.messages == []
        for process in [running.process, *running.process.children(recursive=True)]:
            process.kill()
        running.process.wait()
        assert [ranked() for _ in range(20)] == [BY_SIMILARITY] * 20
    (warning,) = caplog.messages
    assert warning.startswith("reranker unreachable, skipping reranking")
    with running:
        wait_until(lambda: ranked() == by_model)
    assert caplog.messages[1:] == ["reranker answers again"]


Serve = Callable[[type[FakeHandler]], str]


class Hung(FakeHandler):
    """A server that takes requests and never answers them."""

    requests = 0
    released = threading.Event()

    def respond(self) -> None:
        type(self).requests += 1
        self.released.wait()


class Wrong(FakeHandler):
    """A server that answers `content`, whatever it is asked."""

    content = b""

    def respond(self) -> None:
        self.request_body()
        self.answer(200, self.content)


@pytest.fixture
def serve() -> Iterator[Serve]:
    Hung.released.clear()
    with ExitStack() as servers:
        yield lambda handler: servers.enter_context(LocalServer(handler)).url
        Hung.released.set()


def test_a_server_that_hangs_costs_one_time_out(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = Reranker(serve(Hung), timeout=0.5, breaker=CircuitBreaker(pause=600))
    for _ in range(50):
        assert texts(client.rerank_or_fallback(QUERY, CANDIDATES)) == BY_SIMILARITY
    assert Hung.requests == 1
    assert len(caplog.messages) == 1


def test_the_order_without_the_server_is_within_what_the_caller_has_left(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = Reranker(serve(Hung), timeout=600, breaker=CircuitBreaker(pause=0))

    assert texts(client.rerank_or_fallback(QUERY, CANDIDATES, timeout=0.5)) == BY_SIMILARITY
    assert "(0.45 s have passed)" in caplog.messages[-1]

    # None at all is no outage: the next caller asks the server.
    asked = Hung.requests
    assert texts(client.rerank_or_fallback(QUERY, CANDIDATES, timeout=-1)) == BY_SIMILARITY
    assert "timeout -1 is no number of seconds above 0" in caplog.messages[-1]
    assert Hung.requests == asked


def results(*scores: object, key: str = "results") -> bytes:
    items = [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]
    return json.dumps({key: items}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"[]",
        b"null",
        results(1, 2, 3, 4, key="data"),
        results(1, 2, 3),
        results(1, 2, 3, 4, 5),
        results(1, 2, 3, float("nan")),
        results(1, 2, 3, None),
        b'{"results": [%s]}' % b", ".join([b'{"index": 0, "relevance_score": 0.5}'] * 4),
    ],
)
def test_an_answer_that_is_no_ranking_is_none(
    serve: Serve, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    Wrong.content = answer
    client = Reranker(serve(Wrong))
    with pytest.raises(RerankerError, match="no ranking of 4 documents"):
        client.rerank(QUERY, TEXTS)
    assert texts(client.rerank_or_fallback(QUERY, CANDIDATES)) == BY_SIMILARITY
    assert len(caplog.messages) == 1


def test_a_description_that_is_none_is_told() -> None:
    class Junk(FakeHandler):
        def respond(self) -> None:
            self.answer(200 if self.path == "/v1/models" else 404, b"[]")

    with LocalServer(Junk) as server:
        with pytest.raises(RerankerError, match="does not say which model it serves"):
            Reranker(server.url).described()
        with pytest.raises(RerankerError, match="answered 404"):
            asyncio.run(AsyncReranker(f"{server.url}/elsewhere").described())


def test_a_request_at_fault_leaves_the_circuit_closed(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    client = Reranker(service.url, breaker=CircuitBreaker(pause=600))
    assert texts(client.rerank_or_fallback(QUERY, CANDIDATES, top_n=-1)) == BY_SIMILARITY
    assert "skipping reranking" in caplog.messages[0]
    by_model = [TEXTS[i] for i in order_of(service)]
    assert texts(client.rerank_or_fallback(QUERY, CANDIDATES)) == by_model


def test_without_a_server_recent_texts_move_up() -> None:
    now = datetime.now(timezone.utc)
    old = Candidate("old", 0.60, now - timedelta(days=60))
    new = Candidate("new", 0.55, now)
    undated = Candidate("undated", 0.62)
    broken = Candidate("broken", float("nan"), now)
    client = Reranker(f"http://127.0.0.1:{free_port()}")
    ordered = client.rerank_or_fallback(QUERY, [undated, old, broken, new])
    # 0.8 × similarity + 0.2 × 0.5^(days / 30): 0.64, 0.53, 0.496, 0.2
    assert texts(ordered) == ["new", "old", "undated", "broken"]
    client = Reranker(client.url, fallback=Fallback(similarity_weight=1, recency_weight=0))
    ordered = client.rerank_or_fallback(QUERY, [undated, old, broken, new])
    assert texts(ordered) == ["undated", "old", "new", "broken"]
    fallback = Fallback(half_life_days=1)
    assert texts(fallback.order([undated, old, broken, new])) == ["new", "undated", "old", "broken"]
    with pytest.raises(ValueError, match="half_life_days"):
        Fallback(half_life_days=0)
    with pytest.raises(ValueError, match="similarity_weight"):
        Fallback(similarity_weight=float("nan"))
