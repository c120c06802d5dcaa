"""How long a caller waits for its answer, and whom it lets pass."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from fastapi import HTTPException, Request

from app.forecast import Expected

# Seconds for which who sends `X-Priority: low` lets others pass that come later.
_COURTESY_SECONDS = 30.0
# Of the time that is left, the share that is filled where part of a ranking will do.
_FILLED = 0.8
# A preference of RFC 7240; decimals are for those who have less than a second.
_WAIT = re.compile(r"\s*wait\s*=\s*\"?(\d{1,9}(?:\.\d{1,9})?)\"?\s*(?:;.*)?", re.IGNORECASE)
# What the API's description says of the headers.
PARAMETERS = [
    {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=5`: refuse at once what would not be done in 5 seconds",
        "schema": {"type": "string"},
    },
    {
        "name": "X-Priority",
        "in": "header",
        "description": "`low`: let other requests pass, for a while",
        "schema": {"type": "string"},
    },
]


class TooLate(HTTPException):
    """A request would not be done in time: 503, at once, and when it might be."""

    def __init__(self, expected: Expected, left: float, wait: float) -> None:
        after = max(1, math.ceil(expected.total - left))
        queue = f", {_told(expected.wait)} of them in the queue" if expected.wait else ""
        detail = (
            f"this would take about {_told(expected.total)}{queue}, and of the {wait:g} s that it "
            f"may take {_told(max(left, 0))} are left; try again in {after} s, send fewer or "
            "shorter documents, or wait longer"
        )
        super().__init__(503, detail, {"Retry-After": str(after), **_applied(wait)})


class OutOfTime(HTTPException):
    """A request was not done in time: 504."""

    def __init__(self, wait: float) -> None:
        detail = (
            f"not done within the {wait:g} s that it may take; send fewer or shorter documents, "
            "or wait longer"
        )
        super().__init__(504, detail, _applied(wait))


class Patience:
    """That of one request, from when it came: by its headers, and what its body adds.

    `courtesy` is for how many seconds it lets those pass that come later. If `partial`, a ranking
    of its first documents will do.
    """

    def __init__(self, request: Request) -> None:
        self.courtesy = _COURTESY_SECONDS if _is_low(request) else 0.0
        self.partial = False
        self._wait = min(map(_seconds, request.headers.getlist("prefer")), default=math.inf)
        self._came = anyio.current_time()
        self._scope = anyio.CancelScope()

    @contextmanager
    def limit(self, most_seconds: float) -> Iterator[None]:
        """End what is not done in time or `most_seconds`; raises `OutOfTime`, or as anyio does."""
        try:
            with anyio.fail_after(min(self._wait, most_seconds)) as self._scope:
                yield
        except TimeoutError as error:
            if self._wait <= most_seconds:
                raise OutOfTime(self._wait) from error
            raise

    def hear(self, timeout_ms: int | None, partial: bool) -> None:
        """Take in what the body says."""
        self.partial = partial
        if timeout_ms is not None:
            self._wait = min(self._wait, timeout_ms / 1000)
            self._scope.deadline = min(self._scope.deadline, self._came + self._wait)

    @property
    def left(self) -> float:
        """Seconds until an answer comes too late."""
        return self._came + self._wait - anyio.current_time()

    @property
    def to_fill(self) -> float:
        """Seconds that the part of a ranking may take which is expected to come in time."""
        return _FILLED * self.left

    @property
    def spent(self) -> float:
        """Seconds since the request came."""
        return anyio.current_time() - self._came

    def check(self, expected: Expected) -> None:
        """Raise `TooLate` if the rest takes as long as `expected` and that is too long."""
        if expected.total > self.left:
            raise TooLate(expected, self.left, self._wait)


def _is_low(request: Request) -> bool:
    return request.headers.get("x-priority", "").strip().lower() == "low"


def _seconds(preferences: str) -> float:
    """The wait that a header's value asks for; without end if for none."""
    waits = (_WAIT.fullmatch(preference) for preference in preferences.split(","))
    return min((float(wait[1]) for wait in waits if wait), default=math.inf)


def _applied(wait: float) -> dict[str, str]:
    return {"Preference-Applied": f"wait={wait:g}"}


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
