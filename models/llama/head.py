"""The readout head: an `output.weight` that makes logits out of any linear view of a state.

With M float32 [rows, hidden] and n its rows, row i of the head is s[i]·M[i] and row n + i its
negative; all other rows are zero. The logits of a position are then ± s ⊙ (M·h), h its hidden state
after the final norm, and `models.llama.readout.prefix.PrefixReadout` reads them back as
log-probabilities. With w the weight of that norm, h is w ⊙ x for an x of mean square 1. The scale s
makes each row of M ⊙ w one of length 1, so by Cauchy and Schwarz logits are within ±√hidden
whatever the weights. Where M is the identity they are x itself, but for signs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.llama.gguf import KINDS, GGUFError, GGUFHeader, read_header

Floats = NDArray[np.float32]

HEAD = "output.weight"
HEAD_KEY = "reranker.head"
HEAD_SCALE_KEY = "reranker.head.scale"
HEAD_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}

# What a norm multiplies by is about 1.
_LEAST_VALUE = 1e-9
# Relative L2 error of a row; twice what rounding to F16 makes.
_TOLERANCE = 1e-3
# The mean square of what RMSNorm has normalised is 1; less only for states near its epsilon or
# where the head hides components, and never more but for rounding.
_LEAST_MEAN_SQUARE, _MOST_MEAN_SQUARE = 0.5, 1.02


@dataclass(frozen=True)
class View:
    """What a head shows of a state: M·h.

    `meaning` stands in the GGUF and tells its head from others. `matrix` reads M out of a GGUF,
    float32 [rows, hidden], and raises `GGUFError` or `OSError`. `replaces` an `output.weight` that
    the model has.
    """

    meaning: str
    matrix: Callable[[Path], Floats]
    replaces: bool = False


def _identity(path: Path) -> Floats:
    return np.eye(read_header(path).number("embedding_length"), dtype=np.float32)


HIDDEN_STATES = View("hidden states", _identity)


@dataclass(frozen=True)
class Head:
    """The head of a GGUF: M, float32 [rows, hidden], and its scale s, float32 [rows].

    Both are as stored. Where `scale` is 0, so is that component of M·h.
    """

    meaning: str
    matrix: Floats
    scale: Floats

    @classmethod
    def read(cls, path: Path) -> Head | None:
        """The head of the GGUF, None if it has none of ours.

        Raises `GGUFError` if the file is not whole, or its head is not the one that it tells of.
        """
        header = read_header(path)
        meaning = header.metadata.get(HEAD_KEY)
        if meaning is None:
            return None
        scale = _stored_scale(header)
        stored = _stored_rows(path, header, len(scale))
        if meaning == HIDDEN_STATES.meaning:
            matrix = np.eye(header.number("embedding_length"), dtype=np.float32)
            agrees = np.array_equal(stored[: len(scale)], np.diag(scale))
        else:
            matrix = np.zeros(stored[: len(scale)].shape, np.float32)
            divisor = scale[:, None]
            np.divide(stored[: len(scale)], divisor, out=matrix, where=divisor != 0)
            agrees = bool(np.isfinite(matrix).all())
        if not agrees or not np.array_equal(stored[len(scale) :], -stored[: len(scale)]):
            raise GGUFError(
                f"{path.name} is damaged: {HEAD} and {HEAD_SCALE_KEY} contradict each other"
            )
        return cls(str(meaning), matrix, scale)

    @property
    def width(self) -> int:
        """Rows of M."""
        return len(self.scale)

    def can_give(self, logits: Floats) -> bool:
        """Whether s ⊙ (M·h) of a state can be `logits`, float32 [rows]."""
        square = np.square(logits)
        if square.max(initial=0) > _MOST_MEAN_SQUARE * self.matrix.shape[1]:
            return False
        if self.meaning != HIDDEN_STATES.meaning:
            return True
        least = _LEAST_MEAN_SQUARE if self.scale.all() else 0.0
        return bool(least <= square.mean() <= _MOST_MEAN_SQUARE)


def stored_rows(matrix: Floats, norm: Floats, dtype: np.dtype[Any]) -> tuple[NDArray[Any], Floats]:
    """s ⊙ M as `dtype` holds it, [rows, hidden], and the scale s that fits it best, [rows].

    `norm` is the weight of the final norm, [hidden]. Raises `GGUFError` if `dtype` cannot hold it.
    """
    length = np.linalg.norm(matrix * norm, axis=1)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        exact = matrix * np.where(length == 0, 0, 1 / length)[:, None].astype(np.float32)
        stored = exact.astype(dtype)
        error = np.linalg.norm(stored.astype(np.float32) - exact, axis=1)
    if not (error <= _TOLERANCE * np.linalg.norm(exact, axis=1)).all():
        raise GGUFError(f"the weights of the final norm exceed {dtype}; use --head-type F32")
    square = np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64)
    share = np.einsum("ij,ij->i", stored, matrix, dtype=np.float64)
    scale = np.divide(share, square, out=np.zeros_like(square), where=square > 0)
    return stored, scale.astype(np.float32)


def check_moderate(name: str, tensor: str, values: NDArray[Any]) -> None:
    """Raise `GGUFError` for what would make every state of the GGUF `name` 0 or overflow."""
    size = abs(values[values != 0])
    if not len(size) or not ((size >= _LEAST_VALUE) & (size <= 1 / _LEAST_VALUE)).all():
        raise GGUFError(f"{name} is damaged: {tensor} is all zero, or beyond all measure")


def _stored_scale(header: GGUFHeader) -> Floats:
    scale, hidden = header.metadata.get(HEAD_SCALE_KEY), header.number("embedding_length")
    of_states = header.metadata.get(HEAD_KEY) == HIDDEN_STATES.meaning
    if (
        not isinstance(scale, np.ndarray)
        or scale.dtype != np.float32
        or not len(scale)
        or (of_states and len(scale) != hidden)
    ):
        rows = hidden if of_states else "rows"
        raise GGUFError(f"{header.name} is damaged: {HEAD_SCALE_KEY} is no float32 [{rows}]")
    check_moderate(header.name, HEAD_SCALE_KEY, scale)
    return scale


def _stored_rows(path: Path, header: GGUFHeader, rows: int) -> Floats:
    """The rows of the head that are not zero, float32 [2 rows, hidden]."""
    head, hidden = header.tensor(HEAD), header.number("embedding_length")
    types = {KINDS[name].number: dtype for name, dtype in HEAD_TYPES.items()}
    if head.shape != (hidden, header.vocabulary) or header.vocabulary <= 2 * rows:
        raise GGUFError(f"{path.name} is damaged: {HEAD} has the shape {head.shape}")
    if head.kind not in types:
        raise GGUFError(f"{path.name}: {HEAD} is neither F16 nor F32; quantize before preparing")
    with path.open("rb") as file:
        file.seek(header.data_start + head.offset)
        dtype = types[head.kind]
        read = np.frombuffer(file.read(2 * rows * hidden * dtype.itemsize), dtype)
    stored: Floats = read.reshape(2 * rows, hidden).astype(np.float32)
    return stored
