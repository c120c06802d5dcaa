"""Hidden states out of `/embedding`, and M·h of them."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from models.llama.client import LlamaServer, LlamaServerError, LlamaServerTimeout, TokenIds
from models.llama.fingerprint import Fingerprint
from models.llama.readout.base import OnTurn, Reading, Rows, no_matter
from models.llama.renewable import Renewable
from models.llama.slots import SlotPool


@dataclass(eq=False)
class _Run:
    """One start of llama-server that was found to have our weights; `name` is `Props.run`."""

    name: str | None
    slots: SlotPool


class EmbeddingReadout:
    """Reads `/embedding` of a llama-server started with `--embeddings --pooling none`.

    The server sends one row for each token, about 20 bytes a float; rows that are not asked for
    are dropped as they arrive. Every prompt starts with the tokens of the fingerprint, so every
    answer has it among its rows. `matrix` is M, float32 [width, hidden]; without, it is the
    identity.
    """

    def __init__(
        self, server: LlamaServer, fingerprint: Fingerprint, matrix: Rows | None = None
    ) -> None:
        self.width = 0
        self.max_tokens = 0
        self._server = server
        self._fingerprint = fingerprint
        self._matrix = matrix
        self._runs = Renewable(self._recognise)

    @classmethod
    async def connect(
        cls, server: LlamaServer, fingerprint: Fingerprint, matrix: Rows | None = None
    ) -> EmbeddingReadout:
        """Learn hidden size and capacity of `server`.

        Raises `LlamaServerError` if the server does not give one row for each token, or has
        another `fingerprint`.
        """
        readout = cls(server, fingerprint, matrix)
        await readout._runs.get()
        return readout

    @property
    def waiting(self) -> int:
        """See `Readout.waiting`."""
        run = self._runs.value
        return run.slots.waiting if run else 0

    def known(self, ids: TokenIds) -> int:
        """See `Readout.known`; there is no cache."""
        return 0

    async def check(self) -> None:
        """See `Readout.check`."""
        run = await self._runs.get()
        if (await self._server.props()).run != run.name:
            self._runs.drop(run)
            await self._runs.get()

    async def read(
        self, ids: TokenIds, positions: Sequence[int], on_turn: OnTurn = no_matter
    ) -> Reading:
        """See `Readout.read`; llama-server reuses nothing between embeddings."""
        start = time.perf_counter()
        run = await self._runs.get()
        try:
            async with run.slots.lease(ids):
                queue_seconds = time.perf_counter() - start
                on_turn()
                states = await self._states(ids, positions)
        except LlamaServerTimeout:
            raise
        except LlamaServerError:
            self._runs.drop(run)
            raise
        rows = states if self._matrix is None else states @ self._matrix.T
        return Reading(rows, queue_seconds=queue_seconds)

    async def read_ends(
        self, prompts: Sequence[TokenIds], on_turn: OnTurn = no_matter
    ) -> list[Reading]:
        """See `SerialReadout.read_ends`."""
        return [await self.read(ids, [len(ids) - 1], on_turn) for ids in prompts]

    async def _states(self, ids: TokenIds, positions: Sequence[int]) -> Rows:
        """States at `positions`, float32 [positions, hidden], believed for what stands before."""
        mark = len(self._fingerprint.ids) - 1
        wanted = sorted({mark, *positions})
        async with self._server.embedding(ids) as answer:
            rows = await _rows(answer, wanted, expected=len(ids))
        if len({len(row) for row in rows}) != 1:
            raise LlamaServerError("llama-server sent hidden states of several sizes")
        states = np.array(rows, np.float32)
        if not np.isfinite(states).all():
            raise LlamaServerError("llama-server sent hidden states that are not finite numbers")
        self._fingerprint.check(states[[wanted.index(mark)]])
        return states[np.searchsorted(wanted, positions)]

    async def _recognise(self) -> _Run:
        """Find out what llama-server now runs; raises `OtherWeights` if it is not ours."""
        props = await self._server.props()
        opening = self._fingerprint.ids
        states = await self._states(opening, [0])
        self.width = states.shape[1] if self._matrix is None else len(self._matrix)
        self.max_tokens = await max_tokens(self._server, props.context_size, int(opening[0]))
        return _Run(props.run, SlotPool(props.total_slots))


async def max_tokens(server: LlamaServer, context_size: int, probe: int) -> int:
    """Tokens that the server takes in one physical batch.

    `/props` does not tell it, so ask for one token more than the context holds: llama-server
    refuses that before computing anything, and names what was too small.
    """
    try:
        async with server.embedding(np.full(context_size + 1, probe)):
            return context_size
    except LlamaServerError as error:
        limit = re.search(r"batch size: (\d+)|context size", str(error))
        if not limit:
            raise
        return min(context_size, int(limit[1] or context_size))


async def _rows(
    answer: AsyncIterator[bytes], positions: Iterable[int], expected: int
) -> list[Rows]:
    """Rows at `positions` out of a streamed `[{"index":0,"embedding":[[…],[…]]}]`.

    Every row ends with `]`, so rows are counted by it, and only those asked for are parsed.
    Raises `LlamaServerError` unless `expected` rows come.
    """
    wanted = set(positions)
    rows: list[Rows] = []
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


def _floats(row: bytes) -> Rows:
    try:
        return np.array(orjson.loads(row), np.float32)
    except (orjson.JSONDecodeError, TypeError, ValueError) as error:
        raise LlamaServerError(
            "llama-server sent a hidden state that is no list of numbers"
        ) from error
