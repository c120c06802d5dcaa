"""The slots of a llama-server, leased one prompt at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.llama_server import TokenIds


@dataclass(eq=False)
class Slot:
    """A slot, its prompt, the hidden states read from it, and what it shares with the last one.

    The model is causal: a state holds for every prompt that is the same up to its position.
    """

    id: int
    prompt: TokenIds = field(default_factory=lambda: np.empty(0, np.int64))
    states: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    reused_tokens: int = 0

    def common_prefix(self, prompt: TokenIds) -> int:
        """Tokens that `prompt` starts with as the last one did."""
        length = min(len(self.prompt), len(prompt))
        differences = np.flatnonzero(self.prompt[:length] != prompt[:length])
        return int(differences[0]) if len(differences) else length

    def turn_to(self, prompt: TokenIds) -> None:
        """Take the next prompt, keeping the states that hold for it."""
        self.reused_tokens = self.common_prefix(prompt)
        self.states = {i: s for i, s in self.states.items() if i < self.reused_tokens}
        self.prompt = prompt


class SlotPool:
    """Leases slots in order of arrival, choosing the free one that knows most of the prompt."""

    def __init__(self, total_slots: int) -> None:
        self._semaphore = asyncio.Semaphore(total_slots)
        # Least recently used first.
        self._free = [Slot(id) for id in range(total_slots)]
        self.waiting = 0

    @asynccontextmanager
    async def lease(self, prompt: TokenIds) -> AsyncIterator[Slot]:
        """A slot turned to `prompt`; waits until one is free."""
        self.waiting += 1
        try:
            await self._semaphore.acquire()
        finally:
            self.waiting -= 1
        slot = max(self._free, key=lambda free: free.common_prefix(prompt))
        self._free.remove(slot)
        slot.turn_to(prompt)
        try:
            yield slot
        finally:
            self._free.append(slot)
            self._semaphore.release()
