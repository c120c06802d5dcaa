"""A stand-in for the Hugging Face hub: model information and files with ranges."""

from __future__ import annotations

import hashlib
import json
import re
import select
import threading
from typing import Any

from tests.fake_server import FakeHandler
from toolkit.local_server import LocalServer

_COMMIT = "0" * 40


class _Handler(FakeHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def respond(self) -> None:
        hub = self.server
        hub.requests.append((self.command, self.path, self.headers.get("Range")))
        if hub.status:
            self._send(hub.status, b'{"error": "no"}', {})
        elif self.path.startswith(f"/api/models/{hub.repository}") or self._repository:
            names = hub.repositories.get(self._repository, hub.files)
            info = {"id": hub.repository, "siblings": [hub.told(name) for name in names]}
            if hub.tells_commit:
                info["sha"] = _COMMIT
            content = hub.answer or json.dumps(info).encode()
            self._send(200, content, {"Content-Type": "application/json"})
        elif self.path.rpartition("/")[2] in hub.files:
            self._send_file(self.path.rpartition("/")[2])
        else:
            self._send(404, b"{}", {})

    @property
    def _repository(self) -> str:
        """The one of `repositories` that is asked for, empty if none is."""
        name = self.path.removeprefix("/api/models/").partition("?")[0]
        name = re.sub("/revision/.*", "", name)
        return name if name in self.server.repositories else ""

    def _send_file(self, name: str) -> None:
        hub = self.server
        content = hub.files[name]
        asked = self.headers.get("Range")
        start = re.match(r"bytes=(\d+)-", asked or "bytes=0-")
        assert start
        part = content[int(start[1]) :]
        headers = {"Accept-Ranges": "bytes"}
        if hub.tells_headers:
            headers |= {"ETag": f'"{sha256(content)}"', "X-Repo-Commit": _COMMIT}
        elif self.command == "HEAD":
            self._send(405, b"", {})
            return
        status = 200
        if asked and not part:
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        if asked:
            status = 206
            headers["Content-Range"] = f"bytes {start[1]}-{len(content) - 1}/{len(content)}"
        stall = None
        if self.command == "GET" and name.endswith(".gguf"):
            stall, hub.stall_after = hub.stall_after, None
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
        if self.server.tells_headers or status != 200 or "Content-Type" in headers:
            self.send_header("Content-Length", str(len(content)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[:stall])
        if stall is not None:
            self.server.stalled.set()
            while not self.server.go_on.wait(0.05):
                if select.select([self.connection], [], [], 0)[0]:
                    self.close_connection = True
                    return
            self.wfile.write(content[stall:])


class Hub(LocalServer):
    """Serves `files` of one repository.

    `status` answers every request with that error, `answer` is what it says of the repository.
    `repositories` are others, with the names of those of the files that they have.
    `stall_after` sends so many bytes of the first GGUF and then nothing until the client leaves or
    `go_on` is set. `tells` replaces what is said of a file; `tells_headers` and `tells_commit` say
    whether there are size and hash in headers, and a commit.
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
        self.answer = b""
        self.repositories: dict[str, list[str]] = {}
        self.stall_after = stall_after
        self.tells: dict[str, dict[str, Any]] = {}
        self.tells_headers = True
        self.tells_commit = True
        self.stalled = threading.Event()
        self.go_on = threading.Event()
        self.requests: list[tuple[str, str, str | None]] = []

    def told(self, name: str) -> dict[str, Any]:
        """What is said of a file."""
        content = self.files[name]
        lfs = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
        return {"rfilename": name, **self.tells.get(name, {"size": len(content), "lfs": lfs})}


def sha256(content: bytes) -> str:
    """Hexadecimal."""
    return hashlib.sha256(content).hexdigest()
