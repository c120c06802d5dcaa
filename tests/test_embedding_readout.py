"""The `embedding` readout against answers that no healthy llama-server gives."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from models.embedding_readout import EmbeddingReadout
from models.llama_server import LlamaServer, LlamaServerError, TokenIds
from models.slots import SlotPool

ROWS = [[float(row * 10 + column) for column in range(3)] for row in range(6)]


class FaultyServer(LlamaServer):
    """Answers `/embedding` with given bytes, in chunks of a given size."""

    def __init__(self, answer: bytes, chunk_size: int = 7) -> None:
        super().__init__("http://127.0.0.1:9", timeout_seconds=1)
        self._answer = answer
        self._chunk_size = chunk_size

    @asynccontextmanager
    async def embedding(self, ids: TokenIds) -> AsyncIterator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(self._answer), self._chunk_size):
                yield self._answer[start : start + self._chunk_size]

        yield chunks()


def answer(rows: object) -> bytes:
    return json.dumps([{"index": 0, "embedding": rows}]).encode()


def readout(server: LlamaServer) -> EmbeddingReadout:
    return EmbeddingReadout(server, hidden_size=3, max_tokens=100, slots=SlotPool(1))


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 11, 64, 10_000])
async def test_rows_come_whole_however_they_are_cut(chunk_size: int) -> None:
    positions = sorted(random.Random(chunk_size).sample(range(6), 3))

    server = FaultyServer(answer(ROWS), chunk_size)
    states = (await readout(server).read(np.ones(6, np.int64), positions)).states

    assert states.dtype == np.float32
    np.testing.assert_array_equal(states, np.array(ROWS)[positions])


@pytest.mark.anyio
@pytest.mark.parametrize(
    "content",
    [
        answer(ROWS[:5]),
        answer([*ROWS, ROWS[0]]),
        answer(ROWS)[:-30],
        answer([*ROWS[:5], [1.0, None, 2.0]]),
        answer([*ROWS[:5], [1.0, 2.0]]),
        answer([*ROWS[:5], [1.0, "x", 2.0]]),
        answer(ROWS).replace(b"50.0", b"50x0"),
        answer([]),
        b"<html>proxy error</html>",
        b"",
    ],
    ids=[
        "row missing",
        "row too many",
        "truncated",
        "not a number",
        "short row",
        "string",
        "garbage in a row",
        "no rows",
        "not JSON",
        "empty",
    ],
)
async def test_faulty_answers_are_errors(content: bytes) -> None:
    with pytest.raises(LlamaServerError):
        await readout(FaultyServer(content)).read(np.ones(6, np.int64), [0, 5])
