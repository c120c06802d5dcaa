"""The slots of a llama-server, leased one prompt at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.llama.client import TokenIds

# Whose prompt it is. How quick an answer is would tell one what another has asked.
TENANT: ContextVar[int | None] = ContextVar("tenant", default=None)
# Seconds that a prompt lets others pass which come after it: so long and no longer, so that it has
# its turn however many they are.
COURTESY: ContextVar[float] = ContextVar("courtesy", default=0.0)


@dataclass(eq=False)
class Slot:
    """A slot, the tokens that are in its cache at least, and the rows read from it by position.

    The model is causal: a row holds for every prompt that is the same up to its position, of the
    same `tenant`. `foreign` is a slot whose cache may be another tenant's still.
    """

    id: int
    tenant: int | None = None
    foreign: bool = False
    cached: TokenIds = field(default_factory=lambda: np.empty(0, np.int64))
    rows: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def common_prefix(self, prompt: TokenIds) -> int:
        """Tokens of `prompt` that are in the cache, of its tenant."""
        if self.tenant != TENANT.get():
            return 0
        length = min(len(self.cached), len(prompt))
        differences = np.flatnonzero(self.cached[:length] != prompt[:length])
        return int(differences[0]) if len(differences) else length

    def turn_to(self, prompt: TokenIds) -> None:
        """Drop what does not hold for `prompt` or is another tenant's."""
        common = self.common_prefix(prompt)
        self.cached = self.cached[:common]
        self.rows = {i: row for i, row in self.rows.items() if i < common}
        if self.tenant != TENANT.get():
            self.tenant, self.foreign = TENANT.get(), True


@dataclass(eq=False)
class _Waiting:
    """A prompt whose turn comes in the order of `since`, in seconds of the monotonic clock."""

    since: float
    turn: asyncio.Future[None]


class SlotPool:
    """Leases slots in order of arrival, choosing the free one that knows most of the prompt.

    A prompt with `COURTESY` counts as come so much later.
    """

    def __init__(self, total_slots: int) -> None:
        self._slots = [Slot(id) for id in range(total_slots)]
        # Least recently used first.
        self._free = [*self._slots]
        # Slots that are free and promised to nobody.
        self._unclaimed = total_slots
        self._queue: list[_Waiting] = []

    @property
    def waiting(self) -> int:
        """Prompts that wait for a slot."""
        return len(self._queue)

    def known(self, prompt: TokenIds) -> int:
        """Tokens of `prompt` that a slot has in its cache now."""
        return max(slot.common_prefix(prompt) for slot in self._slots)

    @asynccontextmanager
    async def lease(self, prompt: TokenIds) -> AsyncIterator[Slot]:
        """A slot for `prompt`; waits until one is free."""
        await self._claim()
        slot = max(self._free, key=lambda free: free.common_prefix(prompt))
        self._free.remove(slot)
        try:
            yield slot
        finally:
            self._free.append(slot)
            self._pass_on()

    async def _claim(self) -> None:
        """Wait for the turn."""
        if self._unclaimed:
            self._unclaimed -= 1
            return
        since = time.monotonic() + COURTESY.get()
        waiting = _Waiting(since, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            else:
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give a free slot to whose turn it is."""
        if not self._queue:
            self._unclaimed += 1
            return
        # The first of those that came at once.
        following = min(self._queue, key=lambda waiting: waiting.since)
        self._queue.remove(following)
        following.turn.set_result(None)
