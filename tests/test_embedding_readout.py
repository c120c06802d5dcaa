"""The `embedding` readout against answers that no healthy llama-server gives."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from models.llama.client import (
    LlamaServer,
    LlamaServerError,
    LlamaServerRefused,
    LlamaServerTimeout,
    LlamaServerUnavailable,
    Props,
    TokenIds,
)
from models.llama.fingerprint import Fingerprint, OtherWeights
from models.llama.readout.embedding import EmbeddingReadout

ROWS = [[float(row * 10 + column) for column in range(3)] for row in range(6)]


OPENING = np.ones(1, np.int64)
CONTEXT_SIZE = 100
TOO_LARGE = LlamaServerError("request (101 tokens) exceeds the available context size (100)")


class FaultyServer(LlamaServer):
    """Answers `/embedding` with given bytes, in chunks of a given size; the opening as it should.

    What exceeds the context is refused with `refusal`.
    """

    def __init__(
        self, content: bytes, chunk_size: int = 7, refusal: LlamaServerError = TOO_LARGE
    ) -> None:
        super().__init__("http://127.0.0.1:9", timeout_seconds=1)
        self._content = content
        self._chunk_size = chunk_size
        self._refusal = refusal

    async def props(self) -> Props:
        return Props(CONTEXT_SIZE, total_slots=1, run="first")

    @asynccontextmanager
    async def embedding(self, ids: TokenIds) -> AsyncIterator[AsyncIterator[bytes]]:
        if len(ids) > CONTEXT_SIZE:
            raise self._refusal
        content = answer(ROWS[:1]) if len(ids) == len(OPENING) else self._content

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(content), self._chunk_size):
                yield content[start : start + self._chunk_size]

        yield chunks()


def answer(rows: object) -> bytes:
    return json.dumps([{"index": 0, "embedding": rows}]).encode()


def readout(server: LlamaServer) -> EmbeddingReadout:
    return EmbeddingReadout(server, Fingerprint(OPENING))


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 11, 64, 10_000])
async def test_rows_come_whole_however_they_are_cut(chunk_size: int) -> None:
    positions = sorted(random.Random(chunk_size).sample(range(6), 3))

    server = FaultyServer(answer(ROWS), chunk_size)
    states = (await readout(server).read(np.ones(6, np.int64), positions)).rows

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


@pytest.mark.anyio
async def test_answer_of_other_weights() -> None:
    other = [[row[0] + 9, *row[1:]] for row in ROWS]
    with pytest.raises(OtherWeights, match="RERANKER_GGUF"):
        await readout(FaultyServer(answer(other))).read(np.ones(6, np.int64), [0, 5])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("refusal", "capacity"),
    [
        (TOO_LARGE, CONTEXT_SIZE),
        (LlamaServerError("too large, increase it (current batch size: 64)"), 64),
        (LlamaServerError("too large, increase it (current batch size: 512)"), CONTEXT_SIZE),
    ],
)
async def test_capacity_is_what_a_refusal_names(refusal: LlamaServerError, capacity: int) -> None:
    connected = await EmbeddingReadout.connect(
        FaultyServer(b"", refusal=refusal), Fingerprint(OPENING)
    )

    assert connected.max_tokens == capacity


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [
        LlamaServerUnavailable("cannot be reached"),
        LlamaServerTimeout("no answer in time"),
        LlamaServerRefused("the key"),
        LlamaServerError("llama-server answered: HTTP status 500"),
    ],
)
async def test_capacity_is_not_guessed(error: LlamaServerError) -> None:
    with pytest.raises(type(error), match=str(error)):
        await EmbeddingReadout.connect(FaultyServer(b"", refusal=error), Fingerprint(OPENING))
