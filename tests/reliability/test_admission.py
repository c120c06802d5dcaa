"""More requests than the service takes, and clients that keep it waiting."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from app.admission import Admission, Busy
from tests.reliability.raw_client import answer, connect, send
from toolkit.running import EXACT, ROOT, Service, wait_until

BODY = {"query": "soup?", "documents": ["noon", "two"]}


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


@pytest.fixture(scope="module")
def narrow(model: Path, exact_gguf: Path) -> Iterator[Service]:
    """One slot and a queue of one."""
    limits = {
        "RERANKER_QUEUE_LIMIT": "1",
        "RERANKER_BODY_TIMEOUT_SECONDS": "1",
        "RERANKER_MAX_BODY_BYTES": "1000000",
    }
    with Service(model, RERANKER_GGUF=str(exact_gguf), **EXACT, **limits) as running:
        yield running


@pytest.fixture(scope="module")
def roomy(model: Path, exact_gguf: Path) -> Iterator[Service]:
    """A queue as long as by default, and bodies of a megabyte."""
    limits = {"RERANKER_MAX_BODY_BYTES": "1000000"}
    with Service(model, RERANKER_GGUF=str(exact_gguf), **EXACT, **limits) as running:
        yield running


def is_full(service: Service) -> bool:
    """Whether a request is refused before its body comes."""
    with closing(connect(service)) as client:
        send(client, b"", length=1)
        answered, _, _ = select.select([client], [], [], 0.5)
        return bool(answered) and answer(client).status == 429


def test_retry_after_is_the_time_that_the_queue_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    admission = Admission(max_requests=3, max_body_bytes=100)
    # Each takes 7 s, and nothing is asked for long after.
    for _ in range(30):
        with admission.admit():
            now += 7
        now += 100

    with admission.admit(), admission.admit(), admission.admit() as place:
        with pytest.raises(Busy) as full, admission.admit():
            pass
        with pytest.raises(Busy) as large:
            place.grow(101)

    with admission.admit(lets_pass=True), admission.admit():
        with pytest.raises(Busy), admission.admit(lets_pass=True):
            pass
        with admission.admit():
            pass

    assert full.value.headers == large.value.headers == {"Retry-After": "21"}


def test_full_queue_refuses_at_once_in_every_dialect(narrow: Service) -> None:
    expected = narrow.rerank(**BODY).json()["results"]
    tei = {"query": BODY["query"], "texts": BODY["documents"]}
    with closing(connect(narrow)) as first, closing(connect(narrow)) as second:
        with stopped(narrow.llama_server):
            for client in (first, second):
                send(client, json.dumps(BODY).encode())
            wait_until(lambda: is_full(narrow))
            refused = {
                path: httpx.post(f"{narrow.url}{path}", json=body)
                for path, body in (("/v1/rerank", BODY), ("/v2/rerank", BODY), ("/rerank", tei))
            }
        results = [json.load(answer(client))["results"] for client in (first, second)]

    assert results == [expected] * 2
    assert {refusal.status_code for refusal in refused.values()} == {429}
    assert all(int(refusal.headers["Retry-After"]) >= 1 for refusal in refused.values())
    # The body that would tell the dialect is not read: all that share the path are answered.
    assert refused["/v1/rerank"].json().keys() >= {"detail", "message"}
    assert refused["/v2/rerank"].json().keys() == {"message"}
    assert refused["/rerank"].json().keys() >= {"detail", "message", "error", "error_type"}
    assert "too many requests" in refused["/rerank"].json()["error"]
    assert refused["/rerank"].json()["error_type"] == "Overloaded"
    metrics = httpx.get(f"{narrow.url}/metrics").text
    assert 'reranker_requests_total{route="/v1/rerank",status="429"} 1.0' in metrics


def test_info_tells_the_limit(narrow: Service) -> None:
    assert httpx.get(f"{narrow.url}/info").json()["max_concurrent_requests"] == 2


def test_clients_that_leave_make_room(narrow: Service) -> None:
    with stopped(narrow.llama_server):
        with closing(connect(narrow)) as first, closing(connect(narrow)) as second:
            send(first, json.dumps(BODY).encode())
            send(second, json.dumps(BODY).encode())
            wait_until(lambda: is_full(narrow))
        wait_until(lambda: not is_full(narrow))

    assert narrow.rerank(**BODY).status_code == 200


def test_client_that_leaves_before_its_body_is_sent(narrow: Service) -> None:
    with closing(connect(narrow)) as client:
        send(client, b'{"query": ', length=100)

    wait_until(lambda: '"status":499' in narrow.output)
    assert '"status":400' not in narrow.output


def test_slow_body_is_cut_off(narrow: Service) -> None:
    with closing(connect(narrow)) as client:
        send(client, b'{"query": ', length=100)

        response = answer(client)
        assert response.status == 408
        assert "RERANKER_BODY_TIMEOUT_SECONDS" in json.load(response)["detail"]
        assert client.recv(1) == b""

    assert narrow.rerank(**BODY).status_code == 200


def test_connections_without_a_request_end(narrow: Service) -> None:
    with ExitStack() as stack:
        silent, half, refused = (stack.enter_context(closing(connect(narrow))) for _ in range(3))
        half.sendall(b"POST /rerank HTTP/1.1\r\nHost: ")
        send(refused, b"[", length=2_000_000)
        clients = (silent, half, refused)
        ports = {client.getsockname()[1] for client in clients}

        def drip() -> bool:
            """One more byte; whether all connections have ended."""
            for client in (half, refused):
                with suppress(OSError):
                    client.sendall(b"a")
            front = narrow.front.net_connections("tcp")
            return not ports & {connection.raddr.port for connection in front if connection.raddr}

        wait_until(drip)
        assert silent.recv(1) == b""


def test_huge_headers_are_refused(narrow: Service) -> None:
    with closing(connect(narrow)) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nX-Large: " + b"a" * 100_000)

        assert answer(client).status == 400


def test_memory_is_bounded(service: Service) -> None:
    """200 requests of a megabyte each, while the model stands still."""
    front = service.front
    before = front.memory_info().rss
    body = json.dumps({"query": "soup?", "documents": ["soup " * 200_000]}).encode()
    with stopped(service.llama_server), ExitStack() as stack:
        clients = [stack.enter_context(closing(connect(service))) for _ in range(200)]
        with ThreadPoolExecutor(20) as senders:
            list(senders.map(lambda client: send(client, body), clients))
        # One slot and a queue of 64 keep theirs.
        wait_until(lambda: len(select.select(clients, [], [], 0)[0]) == 135)
        # The request for the metrics is one itself.
        wait_until(lambda: service.metric("requests_in_flight") == 66)
        assert front.memory_info().rss < before + 4 * 65 * len(body)

    wait_until(lambda: service.rerank(**BODY).status_code == 200)


def test_memory_is_bounded_before_requests_are_whole(roomy: Service) -> None:
    """200 requests of almost a megabyte each, none of which ever ends."""
    front = roomy.front
    before = front.memory_info().rss
    body = b'"' + b"a" * 900_000
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(connect(roomy))) for _ in range(200)]
        with ThreadPoolExecutor(20) as senders:
            list(senders.map(lambda client: send(client, body, len(body) + 1), clients))
        # Of one slot and a queue of 64, the bodies of five fit.
        wait_until(lambda: len(select.select(clients, [], [], 0)[0]) >= 195)
        assert front.memory_info().rss < before + 50e6

    wait_until(lambda: roomy.rerank(**BODY).status_code == 200)


def slow_reader(service: Service) -> socket.socket:
    """A connection whose answers stay with the service until they are read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(30)
    client.connect(("127.0.0.1", service.port))
    return client


def connected(service: Service, clients: Iterable[socket.socket]) -> int:
    """How many of `clients` the service holds a connection to."""
    ports = {client.getsockname()[1] for client in clients}
    front = service.front.net_connections("tcp")
    return len(ports & {connection.raddr.port for connection in front if connection.raddr})


def test_client_that_does_not_read_is_cut_off(narrow: Service) -> None:
    requests = 30 * b"GET /page/words.js HTTP/1.1\r\nHost: a\r\n\r\n"
    with closing(slow_reader(narrow)) as silent, closing(connect(narrow)) as reading:
        silent.sendall(requests)
        reading.sendall(requests)
        words, read = (ROOT / "app/page/words.js").read_bytes(), b""
        while read.count(words) < 30:
            read += reading.recv(1_000_000)
        wait_until(lambda: connected(narrow, [silent]) == 0)


def test_answers_that_nobody_reads_are_bounded_together(roomy: Service) -> None:
    """40 answers of a megabyte each, of which the memory for bodies holds five."""
    front = roomy.front
    body = {
        "query": "soup?",
        "documents": ["soup " * 180_000],
        "max_tokens_per_doc": 8,
        "return_documents": True,
    }
    assert len(roomy.rerank(**body).content) > 900_000
    before = front.memory_info().rss
    with ExitStack() as stack:
        clients = []
        for _ in range(40):
            clients.append(stack.enter_context(closing(slow_reader(roomy))))
            send(clients[-1], json.dumps(body).encode())
            wait_until(lambda: roomy.metric("requests_in_flight") == 1)
        # How many are given up depends on what the system's own buffers hold of each.
        assert front.memory_info().rss < before + 20e6
        # The latest one is there to be read.
        assert len(answer(clients[-1]).read()) > 900_000


def test_few_file_descriptors_are_told_once(roomy: Service) -> None:
    front = roomy.front
    soft, hard = front.rlimit(psutil.RLIMIT_NOFILE)
    told = "too many connections"
    before = roomy.output.count("\n")
    with ExitStack() as stack:
        front.rlimit(psutil.RLIMIT_NOFILE, (front.num_fds() + 40, hard))
        stack.callback(front.rlimit, psutil.RLIMIT_NOFILE, (soft, hard))
        clients = [stack.enter_context(closing(connect(roomy))) for _ in range(80)]
        wait_until(lambda: told in roomy.output)
        # Others wait no longer than the keep-alive time of those that never ask.
        wait_until(lambda: connected(roomy, clients) == 0)
        assert roomy.rerank(**BODY).status_code == 200

    assert roomy.output.count(told) == 1
    assert roomy.output.count("\n") - before < 10
