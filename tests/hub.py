"""A stand-in for the Hugging Face hub: model information and files with ranges."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_COMMIT = "0" * 40


class Hub:
    """Serves `files` of one repository; a context manager.

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
        self.repository = repository
        self.files = files
        self.status = status
        self.stall_after = stall_after
        self.sizes: dict[str, int] = {}
        self.stalled = threading.Event()
        self.requests: list[tuple[str, str, str | None]] = []
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer((host, 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://{host}:{self.port}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, body: bool) -> None:
        hub = self.hub
        self.hub.requests.append((self.command, self.path, self.headers.get("Range")))
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
            self._send_file(self.path.rpartition("/")[2], body)
        else:
            self._send(404, b"{}", {}, body)

    def _send_file(self, name: str, body: bool) -> None:
        content = self.hub.files[name]
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
        stall = self.hub.stall_after if body and name.endswith(".gguf") else None
        if stall is not None:
            self.hub.stall_after = None
        self._send(status, part, headers, body, stall)

    def _send(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str],
        body: bool = True,
        stall: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[:stall])
        if stall is not None:
            self.hub.stalled.set()
            self.connection.recv(1)
            self.close_connection = True
