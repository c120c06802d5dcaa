"""How far two services are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.evaluate.answers import Answers


@dataclass(frozen=True)
class Agreement:
    """Means over the queries that both answered.

    `tau` is Kendall's tau-b of the scores, 1 for the same order; `top_10` the share of the ten best
    documents that are the same; `first` that of queries with the same best document;
    `largest_difference` the largest one of two scores of a document, `mean_difference` their mean.
    """

    queries: int
    tau: float
    top_10: float
    first: float
    mean_difference: float
    largest_difference: float


def agree(one: Answers, other: Answers) -> Agreement:
    """Compare the answers of two services; NaN where they have no query in common."""
    taus, tops, firsts, differences = [], [], [], []
    shared = [query for query in one.by_query if query in other.by_query]
    for query in shared:
        ours_by_id, theirs_by_id = one.by_query[query].scores, other.by_query[query].scores
        ours = np.array(list(ours_by_id.values()))
        theirs = np.array([theirs_by_id[id] for id in ours_by_id])
        taus.append(_tau(ours, theirs))
        depth = min(10, len(ours_by_id))
        tops.append(len({*_best(ours_by_id, depth)} & {*_best(theirs_by_id, depth)}) / depth)
        firsts.append(_best(ours_by_id, 1) == _best(theirs_by_id, 1))
        differences.extend(np.abs(ours - theirs).tolist())
    if not shared:
        nothing = float("nan")
        return Agreement(0, nothing, nothing, nothing, nothing, nothing)
    tau, top, first, difference = (
        float(np.mean(values)) for values in (taus, tops, firsts, differences)
    )
    return Agreement(len(shared), tau, top, first, difference, max(differences))


def _tau(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Kendall's tau-b; 1 for a single document, which cannot be out of order."""
    if len(ours) < 2:
        return 1.0
    tau = float(stats.kendalltau(ours, theirs).statistic)
    # Undefined where one of them scores all documents alike.
    return tau if np.isfinite(tau) else float(np.array_equal(ours, theirs))


def _best(scores: dict[str, float], count: int) -> list[str]:
    return sorted(scores, key=lambda id: -scores[id])[:count]
