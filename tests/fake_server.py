"""What servers of a test's own making answer, where no real one can be made to."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler


class FakeHandler(BaseHTTPRequestHandler):
    """Calls `respond` for each request, of whatever method."""

    def respond(self) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.respond()

    def do_HEAD(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def request_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, content: bytes, promised: int | None = None) -> None:
        """Answer with `content` where `promised` bytes were announced, by default all there are."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content) if promised is None else promised))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass
