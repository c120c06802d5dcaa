"""A llama-server as slow as one wants it, in front of a real one."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

import httpx

from toolkit.local_server import LocalServer


@dataclass(frozen=True)
class Slowness:
    """Seconds that are added to each call, for each token computed and each pair of tokens."""

    call: float = 0.0
    token: float = 0.0
    pair: float = 0.0

    def of(self, cached: int, computed: int) -> float:
        """What is added to a prompt of which so many tokens were in the cache, and so many not."""
        pairs = (cached + computed) ** 2 - cached**2
        return self.call + self.token * computed + self.pair * pairs


class _Handler(BaseHTTPRequestHandler):
    server: SlowLlamaServer
    protocol_version = "HTTP/1.1"
    # Head and body in one packet, or the second waits for the first to be acknowledged.
    wbufsize = -1

    def _pass_on(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {k: v for k, v in self.headers.items() if k == "Authorization"}
        answer = self.server.target.request(
            self.command, self.path, content=content, headers=headers
        )
        if self.path == "/completion" and answer.is_success:
            timings = json.loads(answer.content)["timings"]
            time.sleep(self.server.slowness.of(timings["cache_n"], timings["prompt_n"]))
        # Who left meanwhile reads it no more.
        with suppress(ConnectionError):
            self.send_response(answer.status_code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def log_message(self, format: str, *args: object) -> None:
        pass


class SlowLlamaServer(LocalServer):
    """Passes requests on to `target`, each slot as slow as `slowness`; serves at `url`."""

    daemon_threads = True

    def __init__(self, target: str, slowness: Slowness) -> None:
        super().__init__(_Handler)
        self.target = httpx.Client(base_url=target, timeout=60)
        self.slowness = slowness

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.target.close()
