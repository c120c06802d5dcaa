"""The classifier of a cross-encoder: what makes a logit of the first token's state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.llama.gguf import GGUFError
from models.llama.tensors import Floats, Tensors


@dataclass(frozen=True)
class Classifier:
    """A dense layer, tanh, and one row: [hidden, hidden], [hidden], [hidden], [1], all float32."""

    dense: Floats
    dense_bias: Floats
    row: Floats
    bias: Floats

    @classmethod
    def read(cls, path: Path) -> Classifier:
        """That of the GGUF; raises `GGUFError` if it has none that is whole."""
        tensors = Tensors(path)
        try:
            dense = tensors.rows("cls.weight")
            names = ("cls.bias", "cls.output.weight", "cls.output.bias")
            dense_bias, row, bias = (tensors.rows(name)[0] for name in names)
        except (KeyError, IndexError, ValueError, NotImplementedError) as error:
            raise GGUFError(f"the classifier of {path.name} cannot be read: {error}") from error
        classifier = cls(dense, dense_bias, row, bias)
        parts = (dense, dense_bias, row, bias)
        size = len(row)
        if [part.shape for part in parts] != [(size, size), (size,), (size,), (1,)]:
            raise GGUFError(f"{path.name} is damaged: the parts of its classifier do not fit")
        if not all(np.isfinite(part).all() for part in parts) or not row.any():
            raise GGUFError(f"{path.name} is damaged: its classifier would score nothing")
        return classifier

    def __call__(self, states: Floats) -> Floats:
        """Logits [pairs] of states [pairs, hidden]."""
        inner = np.tanh(states @ self.dense.T + self.dense_bias)
        logits: Floats = inner @ self.row + self.bias
        return logits
