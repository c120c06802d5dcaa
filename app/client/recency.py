"""How new a text is."""

from __future__ import annotations

from typing import Any


def recency(candidate: Any, now: float, half_life_days: float) -> float:
    """1 for a text of `now` (seconds), halved every `half_life_days`; 0 for one without a time."""
    try:
        days = max(0.0, now - float(candidate.created_at.timestamp())) / 86_400
        return float(0.5 ** (days / half_life_days))
    # Candidates come from databases: whatever one holds, the others still have an order.
    except Exception:
        return 0.0
