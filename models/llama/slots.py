"""The slots of a llama-server, leased one prompt at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.llama.client import TokenIds

# Whose prompt it is. How quick an answer is would tell one what another has asked.
TENANT: ContextVar[int | None] = ContextVar("tenant", default=None)


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


class SlotPool:
    """Leases slots in order of arrival, choosing the free one that knows most of the prompt."""

    def __init__(self, total_slots: int) -> None:
        self._semaphore = asyncio.Semaphore(total_slots)
        # Least recently used first.
        self._free = [Slot(id) for id in range(total_slots)]
        self.waiting = 0

    @asynccontextmanager
    async def lease(self, prompt: TokenIds) -> AsyncIterator[Slot]:
        """A slot for `prompt`; waits until one is free."""
        self.waiting += 1
        try:
            await self._semaphore.acquire()
        finally:
            self.waiting -= 1
        slot = max(self._free, key=lambda free: free.common_prefix(prompt))
        self._free.remove(slot)
        try:
            yield slot
        finally:
            self._free.append(slot)
            self._semaphore.release()
