"""Work that ends with the client that asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio
from fastapi import HTTPException, Request

Result = TypeVar("Result")


class ClientLeft(HTTPException):
    """The client went away: nginx's 499, which only the log and the metrics get to see."""

    def __init__(self) -> None:
        super().__init__(499, "the client went away")


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, cancelled with `ClientLeft` if the client of `request` goes away.

    The body of the request must have been read.
    """
    # In a task of its own, `work` would be cancelled by asyncio and not by a scope of anyio, from
    # which httpx shields the closing of its connections.
    with anyio.CancelScope() as scope:
        leaving = asyncio.create_task(_cancel_on_disconnect(request, scope))
        try:
            return await work
        finally:
            leaving.cancel()
    raise ClientLeft


async def _cancel_on_disconnect(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
