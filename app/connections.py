"""Connections of clients, as uvicorn takes them."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


class Protocol(H11Protocol):
    """uvicorn's, which also closes connections that keep it waiting for a request.

    Headers must be complete within the keep-alive time of the connection's start, and those of the
    next request, with what is left of the last one's body, within that of the last answer.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first request."""
        super().connection_made(transport)
        self._closing = self._close_later(None)

    def on_response_complete(self) -> None:
        """Start waiting for the next request."""
        # Else each one keeps its request in memory for as long.
        self._closing.cancel()
        self._closing = self._close_later(self.cycle)
        super().on_response_complete()

    def _close_later(self, last: RequestResponseCycle | None) -> asyncio.TimerHandle:
        return self.loop.call_later(self.timeout_keep_alive, self._close_unless_asked, last)

    def _close_unless_asked(self, last: RequestResponseCycle | None) -> None:
        if self.cycle is last:
            self.transport.close()
