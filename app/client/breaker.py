"""Keeping requests from a server that is down."""

from __future__ import annotations

import threading
import time


class CircuitBreaker:
    """Keeps requests from a server that failed: after that only one in `pause` seconds may try."""

    def __init__(self, pause: float = 5.0) -> None:
        self._pause = pause
        self._closed = True
        self._next_try = 0.0
        self._lock = threading.Lock()

    @property
    def closed(self) -> bool:
        """Whether the server answered when it was last asked."""
        return self._closed

    def allows(self) -> bool:
        """Whether a request may be sent now; of the callers of an open circuit one may try."""
        with self._lock:
            now = time.monotonic()
            if not self._closed and now < self._next_try:
                return False
            self._next_try = now + self._pause
            return True

    def failed(self) -> bool:
        """Open the circuit; True if it was closed."""
        with self._lock:
            was_closed, self._closed = self._closed, False
            self._next_try = time.monotonic() + self._pause
            return was_closed

    def succeeded(self) -> bool:
        """Close the circuit; True if it was open."""
        with self._lock:
            was_open, self._closed = not self._closed, True
            return was_open
