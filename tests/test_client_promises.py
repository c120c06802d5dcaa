"""What the client promises, whatever server, environment and candidates hold."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.client import (
    AsyncReranker,
    Candidate,
    CircuitBreaker,
    Fallback,
    RequestError,
    Reranker,
    RerankerError,
    Result,
    SettingsError,
)
from app.client.answer import Answer
from app.client.proxy import is_local
from tests.fake_server import FakeHandler
from toolkit.local_server import LocalServer
from toolkit.running import free_port

TEXTS = ["a", "b", "c"]
CANDIDATES = [
    Candidate(text, similarity) for text, similarity in zip(TEXTS, [1, 3, 2], strict=True)
]
RANKING = [{"index": i, "relevance_score": score} for i, score in enumerate([0.1, 0.2, 0.3])]
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Answering(FakeHandler):
    """Answers what it is set to, and keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    status, content = 200, json.dumps({"results": RANKING}).encode()
    more_headers: ClassVar[dict[str, str]] = {}
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def respond(self) -> None:
        self.request_body()
        self.asked.append((self.path, self.headers["Authorization"]))
        self.answer(self.status, self.content)

    def end_headers(self) -> None:
        for name, value in self.more_headers.items():
            self.send_header(name, value)
        super().end_headers()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LocalServer(Answering) as server:
        yield server.url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Reranker]:
    with Reranker(url, timeout=5, breaker=CircuitBreaker(0)) as client:
        yield client


@pytest.fixture(autouse=True)
def _ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ranks, in a shell without settings."""
    monkeypatch.setattr(Answering, "asked", [])
    for name in [*os.environ]:
        if name.startswith("RERANKER_") or name.lower() in PROXIES:
            monkeypatch.delenv(name)


def keeps_its_word(client: Reranker) -> None:
    """A ranking or `RerankerError` from one call, all candidates from the other."""
    with contextlib.suppress(RerankerError):
        assert {result.index for result in client.rerank("q", TEXTS)} == {0, 1, 2}
    found = client.rerank_or_fallback("q", CANDIDATES)
    assert sorted(found, key=lambda candidate: candidate.text) == CANDIDATES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
ITEM = st.fixed_dictionaries({}, optional={"index": st.integers(-1, 3) | JSON}).flatmap(
    lambda item: st.builds(lambda score: item | {"relevance_score": score}, st.floats() | JSON)
)
RESULTS = st.fixed_dictionaries({"results": st.lists(ITEM, max_size=4) | JSON, "detail": JSON})
CONTENT = st.binary(max_size=50) | (JSON | RESULTS).map(lambda value: json.dumps(value).encode())


@settings(max_examples=40)
@given(st.sampled_from([200, 200, 200, 201, 307, 401, 422, 429, 500, 503]), CONTENT)
@example(200, b"[" * 100_000)
@example(500, b'{"detail": ' + b"[" * 900 + b"]" * 900 + b"}")
@example(200, b'{"results": [%s]}' % (b'{"index": 0, "relevance_score": 1%s},' % (b"0" * 400)) * 3)
@example(200, json.dumps({"results": [item | {"index": []} for item in RANKING]}).encode())
@example(200, json.dumps({"results": [item | {"index": 0.0} for item in RANKING]}).encode())
@example(
    200, json.dumps({"results": [item | {"relevance_score": True} for item in RANKING]}).encode()
)
def test_any_answer(client: Reranker, status: int, content: bytes) -> None:
    with patch.multiple(Answering, status=status, content=content):
        keeps_its_word(client)


@settings(max_examples=200)
@given(CONTENT)
def test_any_content_is_a_ranking_or_none(content: bytes) -> None:
    answer = Answer(200, content, "")
    results = answer.results(3, 2)
    if results is not None:
        assert len({result.index for result in results} & {0, 1, 2}) == len(results) == 2
    assert answer.refusal("server", "").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "gzip"},
        {"Content-Type": "application/json; charset=base64"},
        {"Retry-After": "9" * 400},
        {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"},
        {"Location": "http://["},
        {"Set-Cookie": "=;;=\x80"},
        {"Transfer-Encoding": "chunked"},
    ],
)
@pytest.mark.parametrize("status", [200, 302, 503])
def test_any_headers(url: str, headers: dict[str, str], status: int) -> None:
    with (
        patch.multiple(Answering, status=status, more_headers=headers),
        Reranker(url, timeout=0.5, breaker=CircuitBreaker(0)) as client,
    ):
        keeps_its_word(client)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0" * 99,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 999 ?\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"a" * 200_000,
    ],
)
def test_what_is_no_http(answer: bytes) -> None:
    def serve() -> None:
        # Closing the listener ends it.
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(100_000)
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        keeps_its_word(Reranker(f"http://127.0.0.1:{port}", timeout=2, breaker=CircuitBreaker(0)))


def test_an_answer_without_end_is_cut_off(url: str) -> None:
    with (
        patch.object(Answering, "content", b" " * 2**21),
        pytest.raises(RerankerError, match="more than"),
    ):
        Reranker(url).rerank("q", TEXTS)


class Raising:
    """Raises whatever is done with it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __float__(self) -> float:
        raise MemoryError


ANY: list[Any] = [
    None,
    "",
    "0.5",
    b"\xff",
    [],
    object(),
    Raising(),
    float("nan"),
    float("inf"),
    -(10**400),
    1e308,
    1j,
    Decimal("sNaN"),
    np.float32(0.5),
    np.array([1.0, 2.0]),
    datetime.min,
    datetime.max,
    datetime.max.replace(tzinfo=timezone.utc),
    date.today(),
    "half a character: \ud83d",
]


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_any_candidate(url: str, up: bool) -> None:
    client = Reranker(url if up else f"http://127.0.0.1:{free_port()}", breaker=CircuitBreaker(0))
    for value in ANY:
        broken = [
            Candidate(value, 0.5),
            Candidate("a", value),
            Candidate("a", 0.5, value),
            value,
        ]
        for candidate in broken:
            found = client.rerank_or_fallback("q", [*CANDIDATES[:2], candidate])
            assert sorted(map(id, found)) == sorted(map(id, [*CANDIDATES[:2], candidate]))
        client.rerank_or_fallback(value, CANDIDATES)
        client.rerank_or_fallback("q", value)
        client.rerank_or_fallback("q", CANDIDATES, value)
        with contextlib.suppress(RerankerError):
            client.rerank(value, TEXTS)
        with contextlib.suppress(RerankerError):
            client.rerank("q", value)
        with contextlib.suppress(RerankerError):
            client.rerank("q", TEXTS, value)
        with contextlib.suppress(RerankerError):
            client.rerank("q", TEXTS, None, value)
        with contextlib.suppress(RerankerError):
            client.rerank("q", [*TEXTS, value])


def test_one_broken_candidate_leaves_the_order_of_the_others() -> None:
    ordered = Fallback().order([*CANDIDATES, Candidate("d", 9, datetime.min), Candidate("e")])
    assert [candidate.text for candidate in ordered] == ["d", "b", "c", "a", "e"]


def test_a_fallback_that_fails_leaves_candidates_as_they_came() -> None:
    class Broken(Fallback):
        def order(self, candidates: Any) -> Any:
            raise ZeroDivisionError

    client = Reranker(f"http://127.0.0.1:{free_port()}", fallback=Broken())
    assert client.rerank_or_fallback("q", CANDIDATES, 2) == CANDIDATES[:2]


VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
ENVIRONMENT = [
    *("RERANKER_URL", "RERANKER_API_KEY", "RERANKER_MODEL"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
]


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(ENVIRONMENT), VALUES))
@example({"NO_PROXY": "[::1]"})
@example({"RERANKER_URL": "http://reranker.invalid", "NO_PROXY": "[::1]"})
@example({"RERANKER_URL": "http://reranker.invalid", "HTTP_PROXY": "http://[", "ALL_PROXY": "x"})
@example({"RERANKER_URL": "http://reranker.invalid", "HTTP_PROXY": "socks5://127.0.0.1:1"})
@example({"RERANKER_URL": "https://127.0.0.1:1", "SSL_CERT_FILE": "/nowhere"})
@example({"RERANKER_URL": "localhost:7998"})
@example({"RERANKER_URL": "http://127.0.0.1:99999"})
@example({"RERANKER_API_KEY": "two\nlines"})
def test_any_environment(values: dict[str, str]) -> None:
    nobody = {"RERANKER_URL": f"http://127.0.0.1:{free_port()}"}
    with patch.dict(os.environ, nobody | values), Reranker(timeout=2) as client:
        keeps_its_word(client)


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "localhost:7998"},
        {"url": "http://"},
        {"url": "http://h:99999"},
        {"url": "http://[::1"},
        {"url": "http://h\x7f"},
        {"url": "ftp://h"},
        {"url": 7998},
        {"api_key": b"key"},
        {"api_key": "two\nlines"},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": "soon"},
        {"timeout": None},
    ],
)
def test_a_wrong_argument_is_told_at_once(arguments: dict[str, Any]) -> None:
    for client in (Reranker, AsyncReranker):
        with pytest.raises(SettingsError, match=next(iter(arguments))):
            client(**arguments)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ("one text", "give a list"),
        (bytearray(b"one text"), "give a list"),
        ({"text": "one"}, "give a list"),
        ({"one", "text"}, "give a list"),
        (None, "no list"),
        (["\ud83d"], "no Unicode text"),
        ([1j], "JSON"),
    ],
)
def test_a_wrong_request_is_told_without_a_server(documents: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Reranker().rerank("q", documents)


class Dripping(FakeHandler):
    """Sends `start`, and then a byte again and again until it is let go."""

    start = b""
    let_go = threading.Event()

    def respond(self) -> None:
        self.wfile.write(self.start)
        with contextlib.suppress(OSError):
            while not self.let_go.wait(0.02):
                self.wfile.write(b" ")


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n",
    ],
    ids=["status", "headers", "body"],
)
def test_a_server_that_drips_is_left_in_time(start: bytes) -> None:
    with patch.object(Dripping, "start", start), LocalServer(Dripping) as server:
        with pytest.raises(RerankerError, match=r"0\.3 s have passed"):
            Reranker(server.url, timeout=0.3).rerank("q", TEXTS)

        async def ask() -> None:
            with pytest.raises(RerankerError, match=r"0\.3 s have passed"):
                await AsyncReranker(server.url, timeout=0.3).rerank("q", TEXTS)

        asyncio.run(ask())
        assert not Dripping.let_go.is_set()
        Dripping.let_go.set()
    Dripping.let_go.clear()


def test_both_clients_have_the_same_signatures() -> None:
    for name in ("__init__", "rerank", "rerank_or_fallback"):
        signature = inspect.signature(getattr(Reranker, name))
        assert signature == inspect.signature(getattr(AsyncReranker, name))
        kinds = {parameter.kind for parameter in signature.parameters.values()}
        assert not kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def test_one_client_serves_many_loops(url: str) -> None:
    client = AsyncReranker(url)

    async def ask() -> list[Result]:
        first, second = await asyncio.gather(client.rerank("q", TEXTS), client.rerank("q", TEXTS))
        assert first == second
        return first

    in_turn = [asyncio.run(ask()) for _ in range(3)]
    at_once: list[list[Result]] = []
    threads = [
        threading.Thread(target=lambda: at_once.append(asyncio.run(ask()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(results) for results in in_turn + at_once] == [3] * 7
    asyncio.run(client.aclose())
    assert len(asyncio.run(ask())) == 3


def test_the_client_of_threads_works_where_a_loop_runs(url: str) -> None:
    async def ask() -> int:
        return len(Reranker(url).rerank("q", TEXTS))

    assert asyncio.run(ask()) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_client_from_before_a_fork_serves_after_it(url: str) -> None:
    client = Reranker(url, timeout=10)
    client.rerank("q", TEXTS)
    child = os.fork()
    if not child:
        status = 1
        with contextlib.suppress(BaseException):
            status = len(client.rerank("q", TEXTS)) - 3
        os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert len(client.rerank("q", TEXTS)) == 3


def test_a_cancelled_call_ends_its_request() -> None:
    gone = threading.Event()

    class Waiting(FakeHandler):
        def respond(self) -> None:
            self.request_body()
            started.set()
            if not self.rfile.read(1):
                gone.set()

    started = threading.Event()

    async def give_up() -> None:
        asked = asyncio.create_task(AsyncReranker(server.url).rerank("q", TEXTS))
        await asyncio.to_thread(started.wait)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    with LocalServer(Waiting) as server:
        asyncio.run(give_up())
        assert gone.wait(10)


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ("a,b", b"Bearer a"),
        (" , second key ,b", b"Bearer second key"),
        ("secret\n", b"Bearer secret"),
        ("secret\r\n", b"Bearer secret"),
        ("보고", "Bearer 보고".encode()),
        ("voilà", "Bearer voilà".encode()),
        (os.fsdecode(b"caf\xe9"), b"Bearer caf\xe9"),
        (",", None),
        (" \n", None),
    ],
)
def test_the_first_key_is_sent(
    url: str, keys: str, sent: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANKER_API_KEY", keys)
    Reranker(url).rerank("q", TEXTS)
    Reranker(url, api_key=keys).rerank("q", TEXTS)
    expected = sent.decode("latin-1") if sent else None
    assert [key for _, key in Answering.asked] == [expected] * 2


@pytest.mark.parametrize("key", ["s3cret-key", "s3cret\nkey", "s3cret\x7fkey"])
def test_no_message_holds_the_key(
    url: str, key: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("RERANKER_API_KEY", key)
    content = json.dumps({"detail": f"{key} is no key, nor is Bearer {key}"}).encode()
    told = []
    for arguments in ({"api_key": key}, {}):
        with patch.multiple(Answering, status=401, content=content):
            try:
                client = Reranker(url, **arguments)  # type: ignore[arg-type]
                client.rerank_or_fallback("q", CANDIDATES)
                client.rerank("q", TEXTS)
            except RerankerError as error:
                told += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    assert told
    assert "s3cret" not in "".join(told) + caplog.text


def test_no_message_holds_a_password_of_the_address(url: str) -> None:
    named = url.replace("http://", "http://me:s3cret@") + "/v1?token=s3cret"
    with patch.object(Answering, "status", 500), pytest.raises(RerankerError) as caught:
        Reranker(named).rerank("q", TEXTS)
    assert "s3cret" not in str(caught.value)
    ((path, authorization),) = Answering.asked
    assert path == "/v1/rerank?token=s3cret"
    assert authorization is not None
    assert authorization.startswith("Basic ")
    for wrong in ("me:s3cret@h", "ftp://me:s3cret@h", "http://me:s3cret@h:port"):
        with pytest.raises(SettingsError) as caught:
            Reranker(wrong)
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "/models/reranker"])
@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/",
        "//v1",
        "/v2",
        "/v1/rerank",
        "/v1/rerank/",
        "/rerank",
        "/v1/reranking",
    ],
)
@pytest.mark.parametrize("query", ["", "?a=b"])
def test_the_address_is_taken_as_it_is_meant(url: str, prefix: str, path: str, query: str) -> None:
    client = Reranker(f" {url}{prefix}{path}{query}\n")
    client.rerank("q", TEXTS)
    assert Answering.asked == [(f"{prefix}/v1/rerank{query}", None)]
    assert client.url == url + prefix


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_sees_other_hosts_only(
    url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its answers are a ranking too: what matters is who was asked.
    monkeypatch.setenv(name, url)
    port = url.rpartition(":")[2]
    for host in ("localhost", "127.0.0.1"):
        Reranker(f"http://{host}:{port}").rerank("q", TEXTS)
    assert [path for path, _ in Answering.asked] == ["/v1/rerank"] * 2
    Reranker("http://reranker.invalid", timeout=5).rerank("q", TEXTS)
    assert Answering.asked[-1][0] == "http://reranker.invalid/v1/rerank"
    monkeypatch.setenv("NO_PROXY", "other,.invalid")
    with pytest.raises(RerankerError, match="no answer"):
        Reranker("http://reranker.invalid", timeout=5).rerank("q", TEXTS)


def test_a_wrong_proxy_is_named_without_its_password(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "gopher://me:s3cret@proxy")
    with pytest.raises(RerankerError, match="no answer"):
        Reranker("http://reranker.invalid", timeout=5).rerank("q", TEXTS)
    assert "the proxy that the environment names is no address" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *[(host, True) for host in ("localhost", "LocalHost.", "a.localhost", "127.0.0.1")],
        *[(host, True) for host in ("127.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "0.0.0.0")],
        *[(host, False) for host in ("localhost.example", "10.0.0.1", "128.0.0.1", "::2", "h", "")],
    ],
)
def test_local_hosts(host: str, local: bool) -> None:
    assert is_local(host) == local


@pytest.mark.parametrize(("status", "asked"), [(429, 1), (503, 1), (422, 3), (408, 3)])
def test_a_full_server_is_left_alone_for_a_while(url: str, status: int, asked: int) -> None:
    client = Reranker(url, breaker=CircuitBreaker(600))
    with patch.multiple(Answering, status=status, more_headers={"Retry-After": "7"}):
        for _ in range(3):
            assert len(client.rerank_or_fallback("q", CANDIDATES)) == 3
        with pytest.raises(RerankerError) as caught:
            client.rerank("q", TEXTS)
    assert len(Answering.asked) == asked + 1
    assert (caught.value.status, caught.value.retry_after) == (status, 7)
