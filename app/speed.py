"""How long llama-server takes for its work, as measured while it runs."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Those of `Work.by_turn`: turns, tokens, pairs of tokens, calls.
_TERMS = 4
_SUBSETS = [
    list(terms)
    for terms in chain.from_iterable(
        combinations(range(_TERMS), size) for size in range(1, _TERMS + 1)
    )
]
# Of fewer requests nothing is concluded.
_ENOUGH = 5
# How much less each request counts than the next one: some fifty are remembered.
_FORGETTING = 0.98
# One that takes more times as long as it should counts less: something held it up.
_HELD_UP = 4
# Seconds that a measurement may be off, whatever it measured.
_NOISE = 0.01
# Where requests were too alike to tell the terms apart, time is taken to grow with the tokens.
_DOUBT = np.diag([1e-3, 1e-6, 1e-2, 1e-3])


class Speed:
    """Seconds as a sum of terms, each times a factor that is not below 0.

    The factors are those of least squares of the deviations, as shares of what was expected. All
    that is kept of what was measured is sums over the terms.
    """

    def __init__(self) -> None:
        self._measured = 0
        self._weight = 0.0
        self._products = np.zeros((_TERMS, _TERMS))
        self._sums = np.zeros(_TERMS)
        self._factors: Floats | None = None

    def learn(self, terms: Floats, seconds: float) -> None:
        """Take in that work of these `terms`, [4], took so long."""
        expected = self.seconds(terms[np.newaxis])
        size = seconds if expected is None else max(float(expected[0]), seconds / _HELD_UP)
        scale = 1 / (size + _NOISE)
        scaled = terms * scale
        self._products = _FORGETTING * self._products + np.outer(scaled, scaled)
        self._sums = _FORGETTING * self._sums + scaled * (seconds * scale)
        self._weight = _FORGETTING * self._weight + 1
        self._measured += 1
        self._factors = None

    def seconds(self, terms: Floats) -> Floats | None:
        """What each row of `terms`, [rows, 4], takes; None before enough was measured."""
        if self._measured < _ENOUGH:
            return None
        if self._factors is None:
            self._factors = self._fit()
        seconds: Floats = terms @ self._factors
        return seconds

    def _fit(self) -> Floats:
        # Terms of one size each, or pairs of tokens drown the others.
        size = np.sqrt(np.diag(self._products)) + 1e-300
        products = self._products / np.outer(size, size) + _DOUBT / self._weight
        sums = self._sums / size
        # The best of all fits without a factor below 0: there are but few.
        best, least = np.zeros(_TERMS), np.inf
        for subset in _SUBSETS:
            part = np.linalg.solve(products[np.ix_(subset, subset)], sums[subset])
            # The sum of the squares, but for what is the same for all.
            squares = -float(part @ sums[subset])
            if part.min() >= 0 and squares < least:
                best, least = np.zeros(_TERMS), squares
                best[subset] = part
        factors: Floats = best / size
        return factors
