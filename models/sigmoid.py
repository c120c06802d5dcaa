"""Logits as probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-logits)), also where the exponential is beyond all numbers."""
    probabilities: NDArray[np.float32] = np.exp(-np.logaddexp(0, -logits.astype(np.float64)))
    return probabilities.astype(np.float32)
