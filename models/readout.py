"""What it means to read hidden states out of llama-server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.llama_server import TokenIds

HiddenStates = NDArray[np.float32]


class Readout(Protocol):
    """A way to read hidden states: the last layer after the final RMSNorm."""

    hidden_size: int
    max_tokens: int

    async def hidden_states(self, ids: TokenIds, positions: Sequence[int]) -> HiddenStates:
        """Hidden states of the prompt `ids` at ascending `positions`: [len(positions), hidden].

        `ids` are at most `max_tokens`. Raises `LlamaServerError` if they cannot be had whole.
        """
