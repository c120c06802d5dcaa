"""What it means to read rows M·h of hidden states h out of llama-server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.llama.client import TokenIds

Rows = NDArray[np.float32]
# What is called when a prompt's wait for a slot is over.
OnTurn = Callable[[], None]


def no_matter() -> None:
    """The `OnTurn` of those to whom it is all the same."""


@dataclass(frozen=True)
class Reading:
    """Rows, float32 [positions, width], and what it took to read them.

    `reused_tokens` of the prompt were in llama-server's cache from an earlier one;
    `queue_seconds` went by before a slot was free.
    """

    rows: Rows
    reused_tokens: int = 0
    queue_seconds: float = 0.0


class Readout(Protocol):
    """A way to read M·h, h the last layer's state after the final RMSNorm.

    M is a matrix of `width` rows; where it is the identity, hidden states themselves are read.
    """

    width: int
    max_tokens: int

    @property
    def waiting(self) -> int:
        """Prompts that wait for a slot."""

    def known(self, ids: TokenIds) -> int:
        """Tokens of the prompt `ids` that would not have to be computed now."""

    async def check(self) -> None:
        """Raise `LlamaServerError` unless llama-server runs and has the weights we mean."""

    async def read(
        self, ids: TokenIds, positions: Sequence[int], on_turn: OnTurn = no_matter
    ) -> Reading:
        """The rows of the prompt `ids` at ascending `positions`.

        `ids` are at most `max_tokens`, and start as every prompt does. Raises `LlamaServerError`
        if they cannot be had whole.
        """


class SerialReadout(Readout, Protocol):
    """A readout that reads prompts which begin alike in a row."""

    async def read_ends(
        self, prompts: Sequence[TokenIds], on_turn: OnTurn = no_matter
    ) -> list[Reading]:
        """The row at the end of each prompt, one after the other through one slot; see `read`."""
