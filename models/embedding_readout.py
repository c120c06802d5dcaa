"""Hidden states out of `/embedding`."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterable, Sequence

import numpy as np
import orjson

from models.llama_server import LlamaServer, LlamaServerError, TokenIds
from models.readout import HiddenStates, OnTurn, Reading, no_matter
from models.slots import SlotPool


class EmbeddingReadout:
    """Reads `/embedding` of a llama-server started with `--embeddings --pooling none`.

    The server sends one row for each token, about 20 bytes a float; rows that are not asked for
    are dropped as they arrive.
    """

    def __init__(
        self, server: LlamaServer, hidden_size: int, max_tokens: int, slots: SlotPool
    ) -> None:
        self._server = server
        self._slots = slots
        self.hidden_size = hidden_size
        self.max_tokens = max_tokens

    @classmethod
    async def connect(cls, server: LlamaServer, probe: int) -> EmbeddingReadout:
        """Learn hidden size and capacity of `server`, given the id of any token.

        Raises `LlamaServerError` if the server does not give one row for each token.
        """
        async with server.embedding(np.array([probe, probe])) as answer:
            rows = await _rows(answer, [0, 1], expected=2)
        slots = SlotPool((await server.props()).total_slots)
        return cls(server, len(rows[0]), await _max_tokens(server, probe), slots)

    @property
    def waiting(self) -> int:
        """See `Readout.waiting`."""
        return self._slots.waiting

    async def read(
        self, ids: TokenIds, positions: Sequence[int], on_turn: OnTurn = no_matter
    ) -> Reading:
        """See `Readout.read`; llama-server reuses nothing between embeddings."""
        start = time.perf_counter()
        async with self._slots.lease(ids):
            queue_seconds = time.perf_counter() - start
            on_turn()
            async with self._server.embedding(ids) as answer:
                rows = await _rows(answer, positions, expected=len(ids))
        if any(len(row) != self.hidden_size for row in rows):
            raise LlamaServerError("llama-server sent hidden states of another size than before")
        states = np.array(rows, np.float32)
        if not np.isfinite(states).all():
            raise LlamaServerError("llama-server sent hidden states that are not finite numbers")
        return Reading(states, queue_seconds=queue_seconds)


async def _max_tokens(server: LlamaServer, probe: int) -> int:
    """Tokens that the server takes in one physical batch.

    `/props` does not tell it, so ask for one token more than the context holds: llama-server
    refuses that before computing anything, and names its batch size if that is the lower limit.
    """
    context_size = (await server.props()).context_size
    try:
        async with server.embedding(np.full(context_size + 1, probe)):
            return context_size
    except LlamaServerError as error:
        batch_size = re.search(r"current batch size: (\d+)", str(error))
        return min(context_size, int(batch_size[1])) if batch_size else context_size


async def _rows(
    answer: AsyncIterator[bytes], positions: Iterable[int], expected: int
) -> list[HiddenStates]:
    """Rows at `positions` out of a streamed `[{"index":0,"embedding":[[…],[…]]}]`.

    Every row ends with `]`, so rows are counted by it, and only those asked for are parsed.
    Raises `LlamaServerError` unless `expected` rows come.
    """
    wanted = set(positions)
    rows: list[HiddenStates] = []
    count = 0
    rest = b""
    async for chunk in answer:
        *ends, rest = (rest + chunk).split(b"]")
        for end in ends:
            start = end.rfind(b"[")
            if start < 0:
                continue
            if count in wanted:
                rows.append(_floats(end[start:] + b"]"))
            count += 1
    if count != expected:
        raise LlamaServerError(
            f"llama-server sent {count} hidden states for {expected} tokens; "
            "it must run with --embeddings --pooling none"
        )
    return rows


def _floats(row: bytes) -> HiddenStates:
    try:
        return np.array(orjson.loads(row), np.float32)
    except (orjson.JSONDecodeError, TypeError, ValueError) as error:
        raise LlamaServerError(
            "llama-server sent a hidden state that is no list of numbers"
        ) from error
