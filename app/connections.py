"""Connections of clients, as uvicorn takes them."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# Connections that wait to be taken. Without file descriptors asyncio fails once for each of these.
BACKLOG = 128
# File descriptors that clients leave to llama-server and to files.
_SPARE_FILES = 32
_QUIET_SECONDS = 60

_log = logging.getLogger("uvicorn.error")


class Protocol(H11Protocol):
    """uvicorn's, which also ends connections that keep it waiting.

    Headers must be complete within the keep-alive time of the connection's start, and those of the
    next request, with what is left of the last one's body, within that of the last answer.
    An answer must be read within the `answer_seconds` of the app's state, and only then the next
    request is looked at. While answers that are not read yet exceed `answer_bytes` together, the
    one that has waited longest is given up.
    """

    _unread_since = math.inf
    _giving_up: asyncio.TimerHandle | None = None
    _answered = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first request."""
        super().connection_made(transport)
        # Every byte that the client has not taken counts.
        transport.set_write_buffer_limits(high=0)
        self._closing = self._close_later(None)
        if transport.get_extra_info("socket").fileno() >= _most_files():
            shortage.tell(self.loop)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._closing.cancel()
        self._end_waiting()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start waiting for the client to read."""
        super().pause_writing()
        self._unread_since = self.loop.time()
        self._giving_up = self.loop.call_later(
            self.app_state["answer_seconds"], self.transport.abort
        )
        self._give_up_eldest()

    def resume_writing(self) -> None:
        """Go on, since the client has read all there was."""
        super().resume_writing()
        self._end_waiting()
        if self._answered:
            self._answered = False
            self.on_response_complete()

    def on_response_complete(self) -> None:
        """Start waiting for the next request, or first until this answer is read."""
        if self.flow.write_paused:
            self._answered = True
            return
        # Else each one keeps its request in memory for as long.
        self._closing.cancel()
        self._closing = self._close_later(self.cycle)
        super().on_response_complete()

    def _close_later(self, last: RequestResponseCycle | None) -> asyncio.TimerHandle:
        return self.loop.call_later(self.timeout_keep_alive, self._close_unless_asked, last)

    def _close_unless_asked(self, last: RequestResponseCycle | None) -> None:
        if self.cycle is last:
            self.transport.close()

    def _end_waiting(self) -> None:
        self._unread_since = math.inf
        if self._giving_up:
            self._giving_up.cancel()

    def _give_up_eldest(self) -> None:
        unread = [
            connection
            for connection in self.connections
            if isinstance(connection, Protocol) and connection._unread_since < math.inf
        ]
        sizes = {each: each.transport.get_write_buffer_size() for each in unread}
        excess = sum(sizes.values()) - self.app_state["answer_bytes"]
        for connection in sorted(unread, key=lambda each: each._unread_since):
            if excess > 0:
                excess -= sizes[connection]
                connection.transport.abort()


class Shortage:
    """Tells once a minute that there are no file descriptors left; a loop's exception handler."""

    def __init__(self) -> None:
        self._quiet_until = -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle what asyncio reports."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            self.tell(loop)
        else:
            loop.default_exception_handler(context)

    def tell(self, loop: asyncio.AbstractEventLoop) -> None:
        """Log the line, unless it was logged a minute ago."""
        if loop.time() < self._quiet_until:
            return
        self._quiet_until = loop.time() + _QUIET_SECONDS
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        _log.warning(
            "too many connections for %d open files: some are refused; raise the limit "
            "(ulimit -n, LimitNOFILE, --ulimit nofile) or find out who keeps so many",
            files,
        )


shortage = Shortage()


def _most_files() -> int:
    """The first file descriptor that is not for clients."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most - min(_SPARE_FILES, most // 4)
