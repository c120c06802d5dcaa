"""The projector: hidden states to the vectors whose cosine is the relevance score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

Vectors = NDArray[np.float32]

_EPSILON = np.float32(1e-8)


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

        Raises `ProjectorError` if the file is not such a projector.
        """
        tensors = _read_safetensors(path)
        first, second = (
            tensors.get(f"projector.{i}.weight", tensors.get(f"{i}.weight")) for i in (0, 2)
        )
        if first is None or second is None:
            raise ProjectorError(
                f"{path.name} holds {sorted(tensors)}, not projector.0.weight and "
                "projector.2.weight"
            )
        if first.ndim != 2 or second.ndim != 2 or first.shape[0] != second.shape[1]:
            raise ProjectorError(
                f"{path.name}: shapes {first.shape} and {second.shape} do not follow each other"
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
        vectors: Vectors = np.maximum(hidden_states @ self.first.T, 0) @ self.second.T
        return vectors


def cosine(vectors: Vectors, other: Vectors) -> Vectors:
    """Cosine of each row of `vectors` [rows, n] with the vector `other` [n]; 0 where one is 0."""
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(other)
    cosines: Vectors = (vectors @ other) / np.maximum(norms, _EPSILON)
    return cosines


def _read_safetensors(path: Path) -> dict[str, Vectors]:
    try:
        stored = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except (OSError, SafetensorError) as error:
        raise ProjectorError(f"{path.name} is not a readable safetensors file: {error}") from error
    tensors = {}
    for name, tensor in stored:
        if tensor["dtype"] == "F32":
            values = np.frombuffer(tensor["data"], "<f4")
        elif tensor["dtype"] == "BF16":
            # A bfloat16 is the upper half of a float32.
            values = (np.frombuffer(tensor["data"], "<u2").astype("<u4") << 16).view("<f4")
        else:
            raise ProjectorError(f"{path.name}: {name} is {tensor['dtype']}, not F32 or BF16")
        if not np.isfinite(values).all():
            raise ProjectorError(f"{path.name}: {name} holds values that are not finite")
        tensors[name] = values.reshape(tensor["shape"]).astype(np.float32)
    return tensors
