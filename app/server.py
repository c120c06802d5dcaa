"""uvicorn, which lets the requests in the model finish before it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from socket import socket
from types import FrameType

import h11
import uvicorn

from app.connections import Protocol
from app.drain import Drain

_log = logging.getLogger("uvicorn.error")

_TICK_SECONDS = 0.05
# For the answers that are still on their way. start.sh waits two seconds longer than the drain.
_SENDING_SECONDS = 0.5


class Server(uvicorn.Server):
    """A server that refuses what waits when TERM or INT comes, and listens on until it ends.

    Requests in the model may go on for `drain_seconds`, or until a second signal.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._hurries = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal to end."""
        self._hurries = self.should_exit
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Drain, then end."""
        deadline = time.monotonic() + self._drain_seconds
        self._drain.begin()
        if self._drain.under_way:
            _log.info("Draining for at most %g s: new requests get 503", self._drain_seconds)
        await self._while(lambda: self._drain.under_way > 0, deadline)
        self._drain.end()
        # Who still sends a body that was refused reads the answer after it.
        await self._while(self._receives, time.monotonic() + _SENDING_SECONDS)
        left = 0 if self._hurries else max(0, deadline - time.monotonic())
        asyncio.get_running_loop().call_later(left + _SENDING_SECONDS, self._cut_connections)
        await super().shutdown(sockets)

    async def _while(self, is_busy: Callable[[], bool], deadline: float) -> None:
        # Signals come outside of the event loop, where no event can be set.
        while is_busy() and not self._hurries and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_TICK_SECONDS)

    def _receives(self) -> bool:
        return any(each.conn.their_state is h11.SEND_BODY for each in self._connections())

    def _cut_connections(self) -> None:
        # uvicorn would cancel their requests, each with a traceback and an answer of its own.
        for connection in self._connections():
            connection.transport.abort()

    def _connections(self) -> list[Protocol]:
        return [each for each in self.server_state.connections if isinstance(each, Protocol)]
