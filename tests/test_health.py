"""`python -m app.health`, as a container's health check runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from tests.fake_server import FakeHandler
from toolkit.local_server import LocalServer
from toolkit.running import ROOT, Service, environment, free_port


class NotReady(FakeHandler):
    def respond(self) -> None:
        self.answer(503, b'{"detail":"llama-server is not ready"}')


class NoHTTP(BaseHTTPRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


def check(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.health"],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=20,
    )


@pytest.mark.parametrize("host", ["", "127.0.0.1", "0.0.0.0", "localhost"])
def test_healthy_without_a_proxy(service: Service, host: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    proxies = {"http_proxy": nowhere, "HTTP_PROXY": nowhere, "ALL_PROXY": nowhere}

    done = check(RERANKER_HOST=host, RERANKER_PORT=str(service.port), **proxies)

    assert (done.returncode, done.stderr) == (0, "")
    assert '"status":"ok"' in done.stdout


@pytest.fixture(scope="module")
def everywhere(model: Path) -> Iterator[Service]:
    with Service(model, RERANKER_HOST="::") as running:
        yield running


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_all_addresses_are_those_of_ipv4_and_ipv6(everywhere: Service, host: str) -> None:
    url = f"http://{host}:{everywhere.port}/health"
    assert httpx.get(url, trust_env=False).json()["status"] == "ok"


@pytest.mark.parametrize("host", ["::", "::1", "0:0:0:0:0:0:0:1", "127.0.0.2"])
def test_health_is_asked_where_the_service_listens(everywhere: Service, host: str) -> None:
    assert check(RERANKER_HOST=host, RERANKER_PORT=str(everywhere.port)).returncode == 0


@pytest.mark.parametrize("handler", [NotReady, NoHTTP])
def test_not_healthy(handler: type[BaseHTTPRequestHandler]) -> None:
    with LocalServer(handler) as server:
        done = check(RERANKER_PORT=str(server.server_port))

    assert (done.returncode, done.stderr) == (1, "")
    assert "not ready" in done.stdout or "SSH" in done.stdout


def test_nobody_there() -> None:
    port = free_port()

    done = check(RERANKER_HOST="::1", RERANKER_PORT=str(port))

    assert (done.returncode, done.stderr) == (1, "")
    assert f"http://[::1]:{port}" in done.stdout


def test_wrong_setting() -> None:
    done = check(RERANKER_PORT="eighty")

    assert (done.returncode, done.stderr) == (1, "")
    assert "RERANKER_PORT is a port from 1" in done.stdout


def test_address_in_the_port(service: Service) -> None:
    assert check(RERANKER_PORT=f"127.0.0.1:{service.port}").returncode == 0
