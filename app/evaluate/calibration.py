"""How likely a score's document is relevant: fitted on half of the queries, tested on the others.

Raw scores become the probabilities that `app.calibration` serves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import expit

from app.calibration import Calibration
from app.evaluate.answers import Answers
from app.evaluate.dataset import DataError, Dataset, Query

# Of relevant pairs, and of others, in each half: below it the fit follows single documents.
LEAST_PAIRS = 10
_BINS = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Served:
    """What a service says of its model: name, kind of ranking, SHA-256 of its GGUF."""

    model: str
    kind: str
    sha256: str

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Served:
        """Read a model of `/v1/models`; raises `DataError` if it does not tell all of this."""
        model, kind, sha256 = (described.get(name) for name in ("id", "kind", "sha256"))
        if not isinstance(sha256, str) or not sha256:
            raise DataError(
                f"the service does not tell the SHA-256 of the GGUF of {model}, for which alone a "
                "calibration holds; name the file that its llama-server has in RERANKER_GGUF"
            )
        if kind not in ("listwise", "pointwise"):
            raise DataError(f"the service says {kind!r} of its kind: not listwise or pointwise")
        return cls(str(model), kind, sha256)

    def unit(self, raw: Floats) -> Floats:
        """The `unit` scores of raw ones: of cosines, or of logits where pairs are scored alone."""
        return (1 + raw) / 2 if self.kind == "listwise" else expit(raw)


@dataclass(frozen=True)
class Quality:
    """Of probabilities: Brier score, expected calibration error; both 0, best, to 1."""

    brier: float
    ece: float

    @classmethod
    def of(cls, probabilities: Floats, relevant: Floats) -> Quality:
        """Against what is `relevant`, 1 or 0; ECE in ten bins of equal width."""
        brier = np.mean((probabilities - relevant) ** 2)
        bins = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
        gaps = np.bincount(bins, weights=probabilities - relevant, minlength=_BINS)
        return cls(float(brier), float(np.abs(gaps).sum() / len(relevant)))


@dataclass(frozen=True)
class Half:
    """The judged pairs of some queries."""

    queries: int
    pairs: int
    relevant: int


@dataclass(frozen=True)
class Fitted:
    """A calibration, what it was fitted on, and how good it is on the half held out."""

    calibration: Calibration
    model: str
    files: Sequence[str]
    fitted_on: Half
    held_out: Half
    calibrated: Quality
    unit: Quality

    def qualities(self) -> dict[str, Quality]:
        """On the half held out, by what scores are."""
        return {"calibrated": self.calibrated, "unit": self.unit}

    def as_dict(self) -> dict[str, Any]:
        """As the service reads it, and as people check it."""
        curve = self.calibration
        return {
            "model": self.model,
            "gguf_sha256": curve.sha256,
            "a": curve.a,
            "b": curve.b,
            "files": list(self.files),
            "fitted_on": asdict(self.fitted_on),
            "held_out": asdict(self.held_out)
            | {"calibrated": asdict(self.calibrated), "unit": asdict(self.unit)},
        }

    def as_json(self) -> str:
        """The content of calibration.json."""
        return json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n"


def halves(dataset: Dataset) -> tuple[list[Query], list[Query]]:
    """Queries to fit on and to hold out; raises `DataError` if either has too few judged pairs."""
    queries = [query for query in dataset.queries if query.judgements]
    # Files are often in an order that means something; the same each time, to go on with answers.
    shuffled = [queries[place] for place in np.random.default_rng(0).permutation(len(queries))]
    parts = shuffled[::2], shuffled[1::2]
    for part in parts:
        grades = [
            query.judgements[id] > 0
            for query in part
            for id in query.candidates
            if id in query.judgements
        ]
        _check(sum(grades), len(grades))
    return parts


def calibrate(dataset: Dataset, answers: Answers, served: Served) -> Fitted:
    """Fit on the raw scores of `answers`; raises `DataError` if they cannot tell what is relevant.

    Queries that failed are left out.
    """
    fit, held_out = (_pairs(part, answers) for part in halves(dataset))
    for _, relevant, _ in (fit, held_out):
        _check(int(relevant.sum()), len(relevant))
    raw, relevant, fitted_on = fit
    a, b = sigmoid_of(raw, relevant)
    if not a > 0:
        raise DataError(
            f"documents with higher scores are not more often relevant here (a is {a:.3g}), so "
            "there is no calibration; are the judgements right?"
        )
    calibration = Calibration(a, b, served.sha256)
    raw, relevant, rest = held_out
    return Fitted(
        calibration,
        served.model,
        [path.name for path in dataset.files.values()],
        fitted_on,
        rest,
        Quality.of(calibration.probabilities(raw), relevant),
        Quality.of(served.unit(raw), relevant),
    )


def sigmoid_of(raw: Floats, relevant: Floats) -> tuple[float, float]:
    """`a` and `b` of sigmoid(a·raw + b), most likely for what is `relevant`, 1 or 0.

    By Platt's targets, a little within 0 and 1: the curve stays finite where scores part the
    relevant from the others.
    """
    ones = relevant.sum()
    targets = np.where(relevant > 0, (ones + 1) / (ones + 2), 1 / (len(relevant) - ones + 2))
    # Scores about 0 with a spread of 1, whatever their scale.
    middle, spread = raw.mean(), raw.std() or 1.0
    scores = (raw - middle) / spread

    def loss(curve: Floats) -> tuple[float, Floats]:
        logits = curve[0] * scores + curve[1]
        errors = expit(logits) - targets
        slopes = np.array([errors @ scores, errors.sum()])
        value = np.logaddexp(0, logits).sum() - targets @ logits
        return float(value) / len(scores), slopes / len(scores)

    found = optimize.minimize(loss, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-9})
    slope = float(found.x[0] / spread)
    return slope, float(found.x[1] - slope * middle)


def _pairs(queries: Sequence[Query], answers: Answers) -> tuple[Floats, Floats, Half]:
    """Raw scores and relevances [pairs] of the queries that were answered."""
    answered = [query for query in queries if query.id in answers.by_query]
    pairs = [
        (score, query.judgements[id] > 0)
        for query in answered
        for id, score in answers.by_query[query.id].scores.items()
        if id in query.judgements
    ]
    raw, relevant = np.array(pairs, np.float64).reshape(-1, 2).T
    return raw, relevant, Half(len(answered), len(pairs), int(relevant.sum()))


def _check(relevant: int, pairs: int) -> None:
    if min(relevant, pairs - relevant) < LEAST_PAIRS:
        raise DataError(
            f"too few judged pairs to calibrate: half of the queries have {relevant} relevant "
            f"documents and {pairs - relevant} judged as not relevant (grade 0) among their "
            f"candidates, and {LEAST_PAIRS} of each are needed in each half"
        )
