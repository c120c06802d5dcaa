"""One order of relevance and recency, with a server and without."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .candidates import Candidate
from .recency import recency

# Of reciprocal rank fusion, as it was published.
_RANKS = 60


@dataclass(frozen=True)
class Blend:
    """Relevance × (1 + `alpha` × (recency − ½)); recency is that of `Fallback`.

    Relevance, 0…1, is the server's score, or without a server the similarity. Where a candidate has
    none, ranks are fused instead: 1 / (60 + place) + `alpha` / (60 + place by recency).
    """

    alpha: float = 0.2
    half_life_days: float = 30.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.half_life_days) and self.half_life_days > 0):
            raise ValueError("half_life_days is a number of days above 0")
        if not 0 <= self.alpha <= 2:
            raise ValueError("alpha is a number from 0, recency does not count, to 2")

    def order(
        self,
        candidates: Sequence[Candidate],
        relevances: Sequence[float] | None = None,
        now: float | None = None,
    ) -> list[Candidate]:
        """Best first, ties as they came; `now` is in seconds, None being the clock's.

        Without `relevances`, those of the candidates are their similarities.
        """
        now = time.time() if now is None else now
        recencies = [recency(candidate, now, self.half_life_days) for candidate in candidates]
        known = _similarities(candidates) if relevances is None else relevances
        if known is None:
            scores = self._fused(recencies)
        else:
            scores = [
                relevance * (1 + self.alpha * (recent - 0.5))
                for relevance, recent in zip(known, recencies, strict=True)
            ]
        places = sorted(range(len(scores)), key=lambda place: -scores[place])
        return [candidates[place] for place in places]

    def _fused(self, recencies: Sequence[float]) -> list[float]:
        newest_first = sorted(range(len(recencies)), key=lambda place: -recencies[place])
        scores = [1 / (_RANKS + place) for place in range(1, len(recencies) + 1)]
        for rank, place in enumerate(newest_first, 1):
            scores[place] += self.alpha / (_RANKS + rank)
        return scores


def _similarities(candidates: Sequence[Any]) -> list[float] | None:
    """What all candidates have, finite; None if one has none."""
    try:
        similarities = [float(candidate.similarity) for candidate in candidates]
    except Exception:
        return None
    return similarities if all(map(math.isfinite, similarities)) else None
