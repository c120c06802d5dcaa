"""The end of the service, with requests in the model, in the queue and on their way."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.reliability.faulty_proxy import FaultyProxy
from tests.reliability.raw_client import answer, connect, send
from toolkit.running import EXACT, Service, wait_until

JINA = {"query": "soup?", "documents": ["noon"]}
TEI = {"query": "soup?", "texts": ["noon"]}
# A body of each dialect, and the names that its errors have.
DIALECTS = [
    ("/v1/rerank", JINA, {"detail", "message"}),
    ("/v2/rerank", JINA, {"message"}),
    ("/rerank", TEI, {"error", "error_type"}),
]
HOURS = "3600"


class Held(FaultyProxy):
    """A llama-server whose answers to `path` wait until they are let go."""

    def __init__(self, target: str, path: str) -> None:
        super().__init__(target)
        self.path = path
        self.damage = self._hold
        self.holds = threading.Event()
        self.go = threading.Event()
        # Until the front has started.
        self.go.set()

    def hold(self) -> None:
        """Hold answers from now on."""
        self.holds.clear()
        self.go.clear()

    def handle_error(self, *_: object) -> None:
        """Say nothing of a front that no longer waits for its answer."""

    def _hold(self, content: bytes) -> bytes:
        self.holds.set()
        self.go.wait(60)
        return content


Start = Callable[..., AbstractContextManager[Service]]


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def held(service: Service) -> Iterator[Held]:
    with Held(service.llama_server_url, "/completion") as running:
        yield running
        running.go.set()


@pytest.fixture
def start(service: Service, model: Path, exact_gguf: Path, held: Held) -> Start:
    """Starts a front with settings, whose llama-server is held from when it is up."""

    class Front(Service):
        def __enter__(self) -> Service:
            super().__enter__()
            held.hold()
            return self

    def started(**settings: str) -> Service:
        outside = service.as_outside_llama_server | {"LLAMA_SERVER_URL": held.url}
        settings = EXACT | outside | settings
        return Front(model, RERANKER_GGUF=str(exact_gguf), **settings)

    return started


def is_draining(front: Service) -> bool:
    return httpx.get(f"{front.url}/health", timeout=30).status_code == 503


def assert_refused(response: httpx.Response, names: set[str]) -> None:
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    # Of more than one dialect where the body that tells it has not been read.
    assert response.json().keys() >= names
    assert "draining" in next(iter(response.json().values()))


def assert_legible(front: Service) -> None:
    """No traceback, and no line of the log tells of a fault of the front."""
    assert "Traceback" not in front.output
    statuses = [json.loads(line)["status"] for line in front.output.splitlines() if line[:1] == "{"]
    assert set(statuses) <= {200, 503}


def test_what_is_in_the_model_finishes_and_the_rest_is_refused(
    start: Start, held: Held, clients: ThreadPoolExecutor
) -> None:
    with start(RERANKER_DRAIN_SECONDS=HOURS) as front:

        def post(path: str, body: object) -> Future[httpx.Response]:
            return clients.submit(httpx.post, front.url + path, json=body, timeout=120)

        in_the_model = post("/v1/rerank", JINA)
        assert held.holds.wait(60)
        queued = [post(path, body) for path, body, _ in DIALECTS]
        wait_until(lambda: front.metric("prompts_waiting") == len(DIALECTS))
        with connect(front) as uploading:
            send(uploading, b'{"query": ', length=1000)
            wait_until(lambda: front.metric("requests_in_flight") == len(DIALECTS) + 3)
            front.front.send_signal(signal.SIGTERM)
            for refused, (_, _, names) in zip(queued, DIALECTS, strict=True):
                assert_refused(refused.result(60), names)
            assert answer(uploading).status == 503

        assert not in_the_model.done()
        for path, body, names in DIALECTS:
            assert_refused(post(path, body).result(60), names)
        assert "draining" in httpx.get(f"{front.url}/health").json()["detail"]
        assert front.metric("requests_in_flight") == 2  # the one in the model, the one that asks
        held.go.set()
        assert in_the_model.result(60).status_code == 200
        front.process.wait(60)

    assert_legible(front)


def test_time_is_up(start: Start, held: Held, clients: ThreadPoolExecutor) -> None:
    with start(RERANKER_DRAIN_SECONDS="0.5") as front:
        path, body, names = DIALECTS[2]
        in_the_model = clients.submit(httpx.post, front.url + path, json=body, timeout=120)
        assert held.holds.wait(60)

        front.front.send_signal(signal.SIGTERM)

        assert_refused(in_the_model.result(60), names)
        front.process.wait(60)
    assert_legible(front)


@pytest.mark.parametrize(
    ("held_path", "method", "path", "names"),
    [
        ("/completion", "POST", "/v2/rerank", {"message"}),
        ("/health", "GET", "/metrics", {"detail"}),
    ],
)
def test_a_second_signal_ends_it_at_once(
    start: Start,
    held: Held,
    clients: ThreadPoolExecutor,
    held_path: str,
    method: str,
    path: str,
    names: set[str],
) -> None:
    held.path = held_path
    with start(RERANKER_DRAIN_SECONDS=HOURS) as front:
        url = front.url + path
        asked = clients.submit(httpx.request, method, url, json=JINA, timeout=120)
        assert held.holds.wait(60)

        process = front.front
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_draining(front))
        process.send_signal(signal.SIGTERM)

        assert_refused(asked.result(60), names)
        front.process.wait(60)
    assert_legible(front)


def test_idle_connections_do_not_hold_it(start: Start) -> None:
    with start(RERANKER_DRAIN_SECONDS=HOURS) as front, httpx.Client(base_url=front.url) as client:
        assert client.get("/info").status_code == 200
        with connect(front) as half_asked:
            half_asked.sendall(b"POST /rerank HTTP/1.1\r\nHost: a\r\n")

            front.front.send_signal(signal.SIGTERM)

            front.process.wait(60)
    assert_legible(front)


def test_client_that_reads_nothing_does_not_hold_it(service: Service, start: Start) -> None:
    with start(RERANKER_DRAIN_SECONDS="0") as front, connect(front) as deaf:
        request = b"GET /page/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n"
        deaf.sendall(request * 20)
        wait_until(lambda: front.metric("requests_in_flight") == 2)

        front.front.send_signal(signal.SIGTERM)

        front.process.wait(60)
    assert_legible(front)
