"""How many requests may be under way at once, and how much of their bodies in memory."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

# Weight of the newest measurement in a moving mean.
_NEWEST = 0.2


class Busy(HTTPException):
    """The service has as much to do as it takes: 429, and when to come back."""

    def __init__(self, retry_after_seconds: int) -> None:
        detail = f"too many requests are waiting; try again in {retry_after_seconds} s"
        super().__init__(429, detail, {"Retry-After": str(retry_after_seconds)})


class Admission:
    """Gives out `max_requests` places; their bodies may take `max_body_bytes` of memory in all."""

    def __init__(self, max_requests: int, max_body_bytes: int) -> None:
        self.max_requests = max_requests
        self._max_body_bytes = max_body_bytes
        self._places: set[Place] = set()
        # Between the ends of two requests while there is work; a guess until one has ended.
        self._seconds_apart = 1.0
        self._last_end = -math.inf

    @contextmanager
    def admit(self, lets_pass: bool = False) -> Iterator[Place]:
        """A place for one request; raises `Busy` at once if all are taken.

        One that lets others pass has no place that leaves these fewer than half.
        """
        most = math.ceil(self.max_requests / 2) if lets_pass else self.max_requests
        if len(self._places) >= most:
            raise Busy(self._seconds_of_work())
        start = time.monotonic()
        place = Place(self)
        self._places.add(place)
        try:
            yield place
            self._measure(start)
        finally:
            self._places.remove(place)

    def check_body_bytes(self) -> None:
        """Raise `Busy` if the bodies under way are too large together."""
        if sum(place.body_bytes for place in self._places) > self._max_body_bytes:
            raise Busy(self._seconds_of_work())

    def _measure(self, start: float) -> None:
        end = time.monotonic()
        seconds = end - max(start, self._last_end)
        self._seconds_apart += _NEWEST * (seconds - self._seconds_apart)
        self._last_end = end

    def _seconds_of_work(self) -> int:
        """Seconds until the requests under way are done, if they are like the last ones."""
        return max(1, math.ceil(len(self._places) * self._seconds_apart))


class Place:
    """The place of one request."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.body_bytes = 0

    def grow(self, size: int) -> None:
        """Count `size` bytes more, or less, of memory; raises `Busy` if there are too many."""
        self.body_bytes += size
        self._admission.check_body_bytes()
