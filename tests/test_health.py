"""`python -m app.health`, as a container's health check runs it."""

from __future__ import annotations

import subprocess
import sys
from http.server import BaseHTTPRequestHandler

import pytest

from tests.fake_server import FakeHandler, FakeServer
from tests.running import ROOT, Service, environment, free_port


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


@pytest.mark.parametrize("handler", [NotReady, NoHTTP])
def test_not_healthy(handler: type[BaseHTTPRequestHandler]) -> None:
    with FakeServer(handler) as server:
        done = check(RERANKER_PORT=str(server.server_port))

    assert (done.returncode, done.stderr) == (1, "")
    assert "not ready" in done.stdout or "SSH" in done.stdout


@pytest.mark.parametrize("port", [str(free_port()), "eighty", "99999999"])
def test_nobody_there(port: str) -> None:
    done = check(RERANKER_PORT=port)

    assert (done.returncode, done.stderr) == (1, "")
    assert f"RERANKER_PORT={port}" in done.stdout
