"""What a vector search found, and its order without a server."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .recency import recency


@dataclass(frozen=True)
class Candidate:
    """What a search found: `similarity` is its score, 0…1, `created_at` the text's time."""

    text: str
    similarity: float | None = None
    created_at: datetime | None = None


@dataclass(frozen=True)
class Fallback:
    """How candidates are ordered without a server: a weighted sum of similarity and recency.

    Recency is 1 for a text of now and halves every `half_life_days`; 0 for one without a time.
    What a candidate lacks, or holds as no number or no time, counts as 0.
    """

    similarity_weight: float = 0.8
    recency_weight: float = 0.2
    half_life_days: float = 30.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.half_life_days) and self.half_life_days > 0):
            raise ValueError("half_life_days is a number of days above 0")
        if not (math.isfinite(self.similarity_weight) and math.isfinite(self.recency_weight)):
            raise ValueError("similarity_weight and recency_weight are finite numbers")

    def order(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Best first, ties as they came."""
        now = time.time()
        scores = [self._score(candidate, now) for candidate in candidates]
        places = sorted(range(len(scores)), key=lambda place: -scores[place])
        return [candidates[place] for place in places]

    def _score(self, candidate: Candidate, now: float) -> float:
        recent = recency(candidate, now, self.half_life_days)
        score = self.similarity_weight * _similarity(candidate) + self.recency_weight * recent
        return 0.0 if math.isnan(score) else score


# Candidates come from databases: whatever one holds, the others still have an order.
def _similarity(candidate: Any) -> float:
    try:
        similarity = float(candidate.similarity)
    except Exception:
        return 0.0
    return similarity if math.isfinite(similarity) else 0.0
