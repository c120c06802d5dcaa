"""A proxy before a real llama-server that damages its answers."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.fake_server import FakeHandler
from toolkit.local_server import LocalServer

Damage = Callable[[bytes], bytes]


class _Handler(FakeHandler):
    server: FaultyProxy

    def respond(self) -> None:
        key = {k: v for k, v in self.headers.items() if k == "Authorization"}
        body = self.request_body()
        answer = self.server.target.request(self.command, self.path, content=body, headers=key)
        damaged = self.path == self.server.path
        content = self.server.damage(answer.content) if damaged else answer.content
        self.answer(answer.status_code, content, max(len(content), len(answer.content)))


class FaultyProxy(LocalServer):
    """Passes requests on to `target`.

    Answers to `path` go through `damage`; as many bytes are promised as it was given, so what it
    cuts off is missing.
    """

    def __init__(self, target: str) -> None:
        super().__init__(_Handler)
        self.target = httpx.Client(base_url=target, timeout=60)
        self.path = ""
        self.damage: Damage = bytes

    def server_close(self) -> None:
        super().server_close()
        self.target.close()
