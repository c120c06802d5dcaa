"""Whether a llama-server computes with the weights that we mean."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from models.llama import qwen3
from models.llama.client import LlamaServer, LlamaServerError, Segments, TokenIds
from models.llama.tensors import Floats, NotInVocabulary, Unknown

_log = logging.getLogger("uvicorn.error")

# Fewer than all prompts share: what a prompt adds to its cache then tells that it is the same.
_TOKENS = 16
# Numbers that are compared: fewer could be alike by chance.
_NUMBERS = 16
# Relative L2 distance to the state computed in float32. llama.cpp rounds what it multiplies with
# quantized weights, which makes 0.04 after 28 layers; a KV cache of 4 bits makes 0.3, and other
# weights more than 1.
_TOLERANCE, _TOLERANCE_OF_FEW_BITS = 0.15, 0.6
_FEW_BITS = {"q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"}


class OtherWeights(LlamaServerError):
    """llama-server serves another model than we mean: nothing it computes may be believed."""

    may_pass = True

    @property
    def told(self) -> str:
        """The whole message, which says what to do."""
        return str(self)


class Fingerprint:
    """The hidden states of the first tokens of every prompt.

    `ids` are these tokens and `states`, float32 [tokens, hidden], what should come of them;
    without, what llama-server sends first is taken for the right one. `gguf` is the file they
    belong to, `cache_types` how llama-server stores keys and values.
    """

    def __init__(
        self,
        ids: TokenIds,
        gguf: Path | None = None,
        cache_types: Collection[str] = (),
        states: Floats | None = None,
    ) -> None:
        self.ids = ids
        self._gguf = gguf
        self._states = states
        self._first: Floats | None = None
        few_bits = not _FEW_BITS.isdisjoint(cache_types)
        self._tolerance = _TOLERANCE_OF_FEW_BITS if few_bits else _TOLERANCE

    @classmethod
    async def of(
        cls,
        server: LlamaServer,
        opening: Segments,
        gguf: Path | None,
        cache_types: Collection[str] = (),
    ) -> Fingerprint:
        """That of the model in `gguf`, computed without llama-server.

        Every prompt starts with `opening`.

        Raises `LlamaServerError`, or `OSError` if the file cannot be read.
        """
        ids = (await server.tokenize(opening))[:_TOKENS]
        if gguf is None:
            return cls(ids)
        return await cls.computed(ids, gguf, qwen3.hidden_states, cache_types)

    @classmethod
    async def computed(
        cls,
        ids: TokenIds,
        gguf: Path,
        compute: Callable[[Path, TokenIds], Floats],
        cache_types: Collection[str] = (),
    ) -> Fingerprint:
        """That of `ids`, whose last states, float32 [tokens, hidden], are those of `compute`.

        Raises `OtherWeights` if the GGUF has no such ids, or `OSError` if it cannot be read.
        """
        try:
            # Reads every weight, which takes seconds.
            states = await asyncio.to_thread(compute, gguf, ids)
        except NotInVocabulary as error:
            raise cls(ids, gguf)._other("it has another vocabulary") from error
        except Unknown as error:
            _log.warning("the weights of llama-server are believed to be the right ones: %s", error)
            return cls(ids, gguf, cache_types)
        return cls(ids, gguf, cache_types, states)

    def positions(self, width: int) -> range:
        """Of `ids`, those whose rows of `width` numbers tell weights apart."""
        count = min(-(-_NUMBERS // width), len(self.ids))
        return range(len(self.ids) - count, len(self.ids))

    def check(self, rows: Floats, matrix: Floats | None = None) -> None:
        """Raise `OtherWeights` unless `rows`, float32 [positions, width], are right.

        They were read at the last of `ids`, and are M·h with `matrix` M, else h itself.
        """
        expected, size = self._expected(rows, matrix)
        if rows.shape != expected.shape:
            raise self._other(f"its hidden states have size {rows.shape[-1]}")
        # Some servers answer with whatever is in their memory.
        with np.errstate(over="ignore"):
            distance = np.linalg.norm(rows - expected) / size
        # Not a number is no match.
        if not distance <= self._tolerance:
            raise self._other(f"its hidden states differ by {distance:.0%}")

    def _expected(self, rows: Floats, matrix: Floats | None) -> tuple[Floats, np.floating[Any]]:
        """What `rows` should be, and their size, against which rounding is small."""
        if self._states is None:
            self._first = rows if self._first is None else self._first
            return self._first, np.linalg.norm(self._first)
        states = self._states[-len(rows) :]
        if matrix is None:
            return states, np.linalg.norm(states)
        expected = states @ matrix.T
        # Of a state in any direction: M may see little of it, and all of what rounding adds.
        usual = np.linalg.norm(states) * np.linalg.norm(matrix) / np.sqrt(matrix.shape[1])
        return expected, max(np.linalg.norm(expected), usual)

    def file_stamp(self) -> tuple[int, ...]:
        """What changes when the file is written or replaced; empty where there is none."""
        try:
            stat = self._gguf.stat() if self._gguf else None
        except OSError:
            return ()
        if stat is None:
            return ()
        return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns

    def _other(self, reason: str) -> OtherWeights:
        meant = self._gguf.name if self._gguf else "at the start of this service"
        return OtherWeights(
            f"llama-server serves other weights than {meant}: {reason}. Start llama-server with "
            "that file, or name the file that it serves in RERANKER_GGUF, and the types of its "
            "cache in LLAMA_ARG_CACHE_TYPE_K and _V, and start this service again"
        )
