"""An event loop in a thread, where all requests are made, whoever waits for them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from .errors import RerankerError

T = TypeVar("T")


class Background:
    """A loop that begins with the first coroutine and ends with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        if hasattr(os, "register_at_fork"):
            # Threads do not survive a fork, and the lock may have been another thread's.
            os.register_at_fork(after_in_child=self._reset)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine there; the future fails with `RerankerError` if none can be run."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._running_loop())
        except (RuntimeError, OSError) as error:
            coroutine.close()
            future: Future[T] = Future()
            future.set_exception(RerankerError(f"no request can be made now: {error}"))
            return future

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, name="reranker", daemon=True).start()
                self._loop = loop
            return self._loop

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._loop = None


background = Background()
