"""A stand-in for the Hugging Face hub: model information and files with ranges."""

from __future__ import annotations

import hashlib
import json
import re
import threading

from tests.fake_server import FakeHandler, FakeServer

_COMMIT = "0" * 40


class _Handler(FakeHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def respond(self) -> None:
        hub = self.server
        hub.requests.append((self.command, self.path, self.headers.get("Range")))
        if hub.status:
            self._send(hub.status, b'{"error": "no"}', {})
        elif self.path.startswith(f"/api/models/{hub.repository}"):
            siblings = [
                {"rfilename": name, "size": hub.sizes.get(name, len(content))}
                for name, content in hub.files.items()
            ]
            info = {"id": hub.repository, "sha": _COMMIT, "siblings": siblings}
            self._send(200, json.dumps(info).encode(), {"Content-Type": "application/json"})
        elif self.path.rpartition("/")[2] in hub.files:
            self._send_file(self.path.rpartition("/")[2])
        else:
            self._send(404, b"{}", {})

    def _send_file(self, name: str) -> None:
        content = self.server.files[name]
        start = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "bytes=0-")
        assert start
        part = content[int(start[1]) :]
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": _COMMIT,
            "Accept-Ranges": "bytes",
        }
        status = 200
        if self.headers.get("Range"):
            status = 206
            headers["Content-Range"] = f"bytes {start[1]}-{len(content) - 1}/{len(content)}"
        stall = None
        if self.command == "GET" and name.endswith(".gguf"):
            stall, self.server.stall_after = self.server.stall_after, None
        self._send(status, part, headers, stall)

    def _send(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str],
        stall: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[:stall])
        if stall is not None:
            self.server.stalled.set()
            self.connection.recv(1)
            self.close_connection = True


class Hub(FakeServer):
    """Serves `files` of one repository.

    `status` answers every request with that error. `stall_after` sends so many bytes of the
    first GGUF and then nothing until the client leaves.
    """

    def __init__(
        self,
        repository: str,
        files: dict[str, bytes],
        status: int | None = None,
        stall_after: int | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(_Handler, host)
        self.repository = repository
        self.files = files
        self.status = status
        self.stall_after = stall_after
        self.sizes: dict[str, int] = {}
        self.stalled = threading.Event()
        self.requests: list[tuple[str, str, str | None]] = []
