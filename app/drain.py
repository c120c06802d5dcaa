"""The end of the service: who is refused, who may finish, and until when."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute


class Draining(HTTPException):
    """The service is about to end: 503, and when its successor may be there."""

    def __init__(self) -> None:
        detail = "the service is draining, to end; try again in a few seconds"
        super().__init__(503, detail, {"Retry-After": "5"})


class Turn:
    """A request under way; `has_come` once it may finish although the service is to end."""

    def __init__(self, has_come: bool) -> None:
        self.has_come = has_come
        self.scope = anyio.CancelScope()

    def come(self) -> None:
        """Let the request finish."""
        self.has_come = True


class Drain:
    """The requests under way, and what becomes of them when the service is to end."""

    def __init__(self) -> None:
        self.has_begun = False
        self._has_ended = False
        self._turns: set[Turn] = set()

    @contextmanager
    def turn(self, waits: bool) -> Iterator[Turn]:
        """The turn of a request, which `waits` for it or has it at once; raises `Draining`."""
        if self._has_ended or (self.has_begun and waits):
            raise Draining
        turn = Turn(has_come=not waits)
        self._turns.add(turn)
        try:
            with turn.scope:
                yield turn
        finally:
            self._turns.remove(turn)
        if turn.scope.cancelled_caught:
            raise Draining

    @property
    def under_way(self) -> int:
        """Requests that are not done."""
        return len(self._turns)

    def begin(self) -> None:
        """Refuse requests that wait for their turn, now and from now on."""
        self.has_begun = True
        self._refuse([turn for turn in self._turns if not turn.has_come])

    def end(self) -> None:
        """Refuse all requests, now and from now on."""
        self._has_ended = True
        self._refuse(list(self._turns))

    def _refuse(self, turns: list[Turn]) -> None:
        for turn in turns:
            turn.scope.cancel()


class DrainedRoute(APIRoute):
    """A route whose requests end with the service; `waits` if they wait for the model."""

    waits = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            drain: Drain = request.app.state.drain
            with drain.turn(self.waits) as request.state.turn:
                return await handler(request)

        return handle
