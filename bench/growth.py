"""How the time of a request grows with its tokens and its documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.measure import Measurement


@dataclass(frozen=True)
class Growth:
    """seconds = constant + per_token·n + per_token_squared·n² + per_document·d.

    n are the tokens of the prompt, d its documents. The square is attention: each token looks at
    all before it. `largest_deviation` is that of a measured time from the fit, as a share of the
    measured time.
    """

    constant: float
    per_token: float
    per_token_squared: float
    per_document: float
    largest_deviation: float

    @classmethod
    def fit(cls, measurements: Sequence[Measurement]) -> Growth:
        """Fit by least squares of the relative deviations; needs four measurements or more."""
        tokens = np.array([m.prompt_tokens for m in measurements], float)
        documents = np.array([m.documents for m in measurements], float)
        seconds = np.array([m.p50_seconds for m in measurements])
        terms = _terms(tokens, documents)
        # Columns of one size each, or n² drowns the constant.
        scale = terms.max(axis=0)
        weighted = terms / scale / seconds[:, None]
        solution = np.linalg.lstsq(weighted, np.ones(len(seconds)))[0] / scale
        deviation = abs(terms @ solution / seconds - 1).max()
        return cls(*map(float, [*solution, deviation]))

    def seconds(self, tokens: NDArray[np.float64], documents: float) -> NDArray[np.float64]:
        """Fitted time for each number of `tokens`."""
        factors = [self.constant, self.per_token, self.per_token_squared, self.per_document]
        fitted: NDArray[np.float64] = _terms(tokens, np.full(len(tokens), documents)) @ factors
        return fitted


def _terms(tokens: NDArray[np.float64], documents: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones(len(tokens)), tokens, tokens**2, documents], axis=1)
