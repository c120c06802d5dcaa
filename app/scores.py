"""What a score is to who asks: the model's own, from 0 to 1, as computed, or a probability."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.calibration import Calibration, NotCalibrated
from models.rerank import Card, Ranking

Scale = Literal["cosine", "unit", "raw", "calibrated"]
Range = tuple[float, float]


def contradicts(
    scale: Scale | None, card: Card, calibration: Calibration | NotCalibrated
) -> str | None:
    """Why the model of `card` has no scores on this scale; None if it has."""
    if scale == "cosine" and card.score != "cosine":
        return f"the scores of {card.name} are no cosines ({card.score}); ask for unit or raw"
    if scale == "calibrated" and isinstance(calibration, NotCalibrated):
        return f"no calibrated scores: {calibration}"
    return None


def described(scale: Scale | None, card: Card) -> tuple[str, Range]:
    """What the scores are, and what they lie within, where nobody asks for raw ones."""
    unit = 0.0, 1.0
    if scale == "calibrated":
        return "calibrated probability", unit
    own = scale != "unit" or card.score_range == unit
    return (card.score, card.score_range) if own else ("unit", unit)


def scale_of(raw_scores: bool | None) -> Scale | None:
    """The scale that a field `raw_scores` asks for, which is None where it is not sent."""
    return None if raw_scores is None else "raw" if raw_scores else "unit"


def order(ranking: Ranking) -> NDArray[np.intp]:
    """Indexes of the documents, best first, ties as they came; the same on every scale."""
    # Scores of large logits may be equal by rounding.
    keys = ranking.scores if ranking.logits is None else ranking.logits
    return np.argsort(-keys, kind="stable")


def scaled(
    scale: Scale | None,
    ranking: Ranking,
    card: Card,
    calibration: Calibration | NotCalibrated | None = None,
) -> NDArray[Any]:
    """Scores [documents]; on no scale the model's own, calibrated by `calibration`."""
    raw = ranking.scores if ranking.logits is None else ranking.logits
    if scale == "raw":
        return raw
    if scale == "calibrated":
        assert isinstance(calibration, Calibration)
        return calibration.probabilities(raw)
    if scale == "unit":
        low, high = card.score_range
        unit = (ranking.scores.astype(np.float64) - low) / (high - low)
        # By rounding, a cosine may be a little more than 1.
        return unit.clip(0, 1)
    return ranking.scores
