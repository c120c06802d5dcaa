"""A value that is made again after it has become useless."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Renewable(Generic[T]):
    """Made by `make` when it is first asked for, and again after it was dropped.

    `value` is None until then.
    """

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self.value: T | None = None
        self._making = asyncio.Lock()

    async def get(self) -> T:
        """The value; who asks while it is made waits for it. Raises what `make` raises."""
        if self.value is None:
            async with self._making:
                # Another one may have made it meanwhile.
                if self.value is None:
                    self.value = await self._make()
        return self.value

    def drop(self, value: T) -> None:
        """Have the next one made, unless there is another than `value` already."""
        if self.value is value:
            self.value = None

    def holds(self, value: T) -> bool:
        """Whether `value` has not been dropped."""
        return self.value is value
