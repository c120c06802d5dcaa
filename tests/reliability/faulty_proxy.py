"""A proxy before a real llama-server that damages its answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

Damage = Callable[[bytes], bytes]


class FaultyProxy:
    """Passes requests on to `target`; a context manager.

    Answers to `path` go through `damage`; as many bytes are promised as it was given, so what it
    cuts off is missing.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.path = ""
        self.damage: Damage = bytes
        proxy = self

        class Handler(_Handler):
            pass

        Handler.proxy = proxy
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyProxy

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = httpx.request(
            self.command, self.proxy.target + self.path, content=body, timeout=60
        )
        damaged = self.path == self.proxy.path
        content = self.proxy.damage(answer.content) if damaged else answer.content
        self.send_response(answer.status_code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(max(len(content), len(answer.content))))
        self.end_headers()
        self.wfile.write(content)
