"""The projector: hidden states to the vectors whose cosine is the relevance score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

Vectors = NDArray[np.float32]

# Far from any real projector, far from where float32 underflows or overflows.
_LEAST_GAIN, _MOST_GAIN = 1e-20, 1e20


class ProjectorError(ValueError):
    """The projector file cannot be used."""


@dataclass(frozen=True)
class Projector:
    """A two-layer MLP without biases: `second · relu(first · hidden)`.

    `first` is float32 [inner, hidden], `second` float32 [output, inner].
    """

    first: Vectors
    second: Vectors

    @classmethod
    def load(cls, path: Path) -> Projector:
        """Read a safetensors file, F32 or BF16, tensors named `projector.0.weight` or `0.weight`.

        Raises `ProjectorError` if the file is not such a projector, or one that could only make
        zeros or overflow.
        """
        stored = _read_safetensors(path)
        names = [
            next((n for n in (f"projector.{i}.weight", f"{i}.weight") if n in stored), None)
            for i in (0, 2)
        ]
        if None in names:
            raise ProjectorError(
                f"{path.name} holds {sorted(stored)!r:.200}, not projector.0.weight and "
                "projector.2.weight"
            )
        first, second = (_matrix(path, name, stored[name]) for name in names if name)
        if first.ndim != 2 or second.ndim != 2 or first.shape[0] != second.shape[1]:
            raise ProjectorError(
                f"{path.name}: shapes {first.shape} and {second.shape} do not follow each other"
            )
        gain = _gain(first) * _gain(second)
        if not _LEAST_GAIN <= gain <= _MOST_GAIN:
            raise ProjectorError(
                f"{path.name} is damaged: it would multiply hidden states by up to {gain:.0e}"
            )
        return cls(first, second)

    @property
    def hidden_size(self) -> int:
        """Length of the hidden states it takes."""
        return int(self.first.shape[1])

    @property
    def output_size(self) -> int:
        """Length of the vectors it makes."""
        return int(self.second.shape[0])

    def __call__(self, hidden_states: Vectors) -> Vectors:
        """Project float32 [rows, hidden] to float32 [rows, output]."""
        # Damaged weights overflow: who asks for vectors looks whether they are finite.
        with np.errstate(over="ignore", invalid="ignore"):
            vectors: Vectors = np.maximum(hidden_states @ self.first.T, 0) @ self.second.T
        return vectors


def cosine(vectors: Vectors, other: Vectors) -> Vectors:
    """Cosine of each row of `vectors` [rows, n] with the vector `other` [n]; 0 where one is 0."""
    vectors, other = _scaled(vectors), _scaled(other)
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(other)
    cosines: Vectors = np.divide(vectors @ other, norms, np.zeros_like(norms), where=norms > 0)
    return cosines


def _scaled(vectors: Vectors) -> Vectors:
    """Vectors of the same directions, the largest component of each from 0.5 to 1, or 0.

    A power of two changes no digit, and squares neither underflow nor overflow.
    """
    _, exponents = np.frexp(np.abs(vectors).max(axis=-1, keepdims=True, initial=0))
    scaled: Vectors = np.ldexp(vectors, -exponents)
    return scaled


def _gain(matrix: Vectors) -> float:
    """By how much the matrix multiplies the largest component of a vector at most."""
    return float(np.abs(matrix.astype(np.float64)).sum(axis=1).max(initial=0))


def _read_safetensors(path: Path) -> dict[str, dict[str, Any]]:
    if path.exists() and not path.is_file():
        raise ProjectorError(f"{path.name} is no file")
    try:
        return dict(deserialize(path.read_bytes()))  # type: ignore[no-untyped-call]
    except (OSError, SafetensorError, ValueError, MemoryError) as error:
        raise ProjectorError(f"{path.name} is not a readable safetensors file: {error}") from error


def _matrix(path: Path, name: str, tensor: dict[str, Any]) -> Vectors:
    if tensor["dtype"] == "F32":
        values = np.frombuffer(tensor["data"], "<f4")
    elif tensor["dtype"] == "BF16":
        # A bfloat16 is the upper half of a float32.
        values = (np.frombuffer(tensor["data"], "<u2").astype("<u4") << 16).view("<f4")
    else:
        raise ProjectorError(f"{path.name}: {name} is {tensor['dtype']}, not F32 or BF16")
    if not np.isfinite(values).all():
        raise ProjectorError(f"{path.name}: {name} holds values that are not finite")
    matrix: Vectors = values.reshape(tensor["shape"]).astype(np.float32)
    return matrix
