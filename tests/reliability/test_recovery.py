"""llama-server dies or hangs, disks fill up: the service goes on without a human."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.reliability.raw_client import answer, connect, send
from tests.reliability.traffic import Load, known_questions
from toolkit.running import EXACT, Service, wait_until

BODY: dict[str, object] = {"query": "soup?", "documents": ["noon", "two", "a meeting"]}


@pytest.fixture(scope="module")
def recovering(model: Path, exact_gguf: Path) -> Iterator[Service]:
    settings = EXACT | {"RERANKER_TIMEOUT_SECONDS": "4", "RERANKER_HANG_SECONDS": "3"}
    with Service(model, RERANKER_GGUF=str(exact_gguf), **settings) as running:
        yield running


def scores(service: Service) -> dict[int, float]:
    results = service.rerank(**BODY).json()["results"]
    return {result["index"]: result["relevance_score"] for result in results}


def test_deadline_covers_the_body(recovering: Service) -> None:
    with closing(connect(recovering)) as client:
        send(client, b'{"query": ', length=100)
        response = answer(client)

        assert response.status == 504
        assert "RERANKER_TIMEOUT_SECONDS" in json.load(response)["detail"]


def test_hanging_llama_server_is_started_again(recovering: Service) -> None:
    expected = scores(recovering)
    hung = recovering.llama_server
    hung.suspend()

    health = httpx.get(f"{recovering.url}/health", timeout=30)
    assert health.status_code == 503
    assert "not ready" in health.json()["detail"]

    wait_until(recovering.healthy)
    assert recovering.llama_server.pid != hung.pid
    assert "llama-server has been silent for 3 s" in recovering.output
    assert scores(recovering) == pytest.approx(expected, abs=1e-4)


def test_kill_under_load_leaks_nothing(recovering: Service) -> None:
    expected = scores(recovering)
    front = recovering.front
    descriptors = front.num_fds()
    begun, ended = threading.Barrier(9), threading.Event()

    def ask() -> list[httpx.Response]:
        with httpx.Client(timeout=60) as client:
            begun.wait()
            responses = [client.post(f"{recovering.url}/rerank", json=BODY)]
            while not ended.is_set():
                responses.append(client.post(f"{recovering.url}/rerank", json=BODY))
        return responses

    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(ask) for _ in range(8)]
        killed = recovering.llama_server
        begun.wait()
        killed.send_signal(signal.SIGKILL)
        killed.wait(5)
        wait_until(recovering.healthy)
        ended.set()
    responses = [response for client in asked for response in client.result()]

    for response in responses:
        assert response.status_code in (200, 503, 504)
        if response.status_code == 200:
            found = {r["index"]: r["relevance_score"] for r in response.json()["results"]}
            assert found == pytest.approx(expected, abs=1e-4)
        else:
            assert response.json()["detail"]
    assert 503 in {response.status_code for response in responses}
    assert scores(recovering) == pytest.approx(expected, abs=1e-4)
    assert recovering.metric("requests_in_flight") == 1  # the one that asks
    assert recovering.metric("prompts_waiting") == 0
    # Connections of clients end soon after; those to llama-server are few.
    wait_until(lambda: front.num_fds() <= descriptors + 4)
    assert recovering.llama_server.pid != killed.pid


def test_timeouts_leave_no_connection(model: Path) -> None:
    with Service(model, RERANKER_TIMEOUT_SECONDS="1") as service:
        port = int(service.environment["LLAMA_SERVER_PORT"])
        service.llama_server.suspend()
        with ThreadPoolExecutor(8) as clients:
            asked = [clients.submit(service.rerank, **BODY) for _ in range(8)]
            assert {client.result().status_code for client in asked} == {504}

        front = service.front.net_connections("tcp")
        service.llama_server.resume()

    assert [connection for connection in front if connection.raddr[1:] == (port,)] == []


def test_full_disk_ends_nothing(model: Path, tmp_path: Path) -> None:
    (tmp_path / "llama-server.log").symlink_to("/dev/full")
    service = Service(model, RERANKER_LOG_DIR=str(tmp_path), **EXACT)
    service.output_path = Path("/dev/full")
    service.launch()
    try:
        wait_until(service.healthy)
        known = known_questions(service.url, count=10)
        with Load(service.url, known, clients=8) as load:
            load.wait_for_more("right", 8)
            service.llama_server.kill()
            load.wait_for_more("503", 1)
            load.wait_for_more("right", 16)
        assert load.outcomes.wrong == []
    finally:
        assert service.stop() == 0
