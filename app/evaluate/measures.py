"""How good orders of documents are, by the usual measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ir_measures
import numpy as np
from ir_measures import RR, P, R, nDCG
from scipy import stats

from app.client import Blend, Candidate
from app.evaluate.answers import Answers
from app.evaluate.dataset import Dataset, Query

MEASURES = (nDCG @ 10, RR @ 10, R @ 5, R @ 10, P @ 1)
NAMES = {
    str(measure): label
    for measure, label in zip(
        MEASURES, ("nDCG@10", "MRR@10", "Recall@5", "Recall@10", "P@1"), strict=True
    )
}
MAIN = "nDCG@10"
DEPTHS = (10, 20, 50, 100)

# Document ids of each query, best first.
Orders = Mapping[str, Sequence[str]]
# Of a measure, its value for each query, 0…1.
Values = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Difference:
    """Mean difference of a measure over queries, its 95 % confidence interval and p, paired."""

    mean: float
    low: float
    high: float
    p: float


def evaluate(queries: Sequence[Query], orders: Orders) -> Values:
    """Every measure of every judged query, by ir-measures (trec_eval's definitions)."""
    judged = [query for query in queries if query.judged]
    qrels = {query.id: dict(query.judgements) for query in judged}
    # trec_eval orders by score alone, and ties by their names.
    run = {
        query.id: {id: float(-rank) for rank, id in enumerate(orders[query.id])} for query in judged
    }
    values: Values = {label: {} for label in NAMES.values()}
    for value in ir_measures.iter_calc(MEASURES, qrels, run):
        values[NAMES[str(value.measure)]][value.query_id] = float(value.value)
    return values


def mean(values: Mapping[str, float]) -> float:
    """The mean over queries."""
    return float(np.mean(list(values.values())))


def compare(values: Mapping[str, float], others: Mapping[str, float]) -> Difference | None:
    """`values` minus `others`, query by query, by a paired t-test; None for under two queries."""
    differences = np.array([values[query] - others[query] for query in values])
    if len(differences) < 2:
        return None
    if np.ptp(differences) == 0:
        # The test's statistic is undefined where nothing varies.
        same = float(differences[0])
        return Difference(same, same, same, 1.0 if same == 0 else 0.0)
    test = stats.ttest_1samp(differences, 0.0)
    interval = test.confidence_interval(0.95)
    return Difference(
        float(differences.mean()), float(interval.low), float(interval.high), float(test.pvalue)
    )


def first_stage(dataset: Dataset) -> Orders:
    """The candidates as they came."""
    return {query.id: query.candidates for query in dataset.queries}


def reranked(dataset: Dataset, answers: Answers, depth: int | None = None) -> Orders:
    """The candidates in the service's order; only the first `depth` of them if given.

    A query that the service could not answer keeps its order, as in an application that goes on
    without.
    """
    orders = {}
    for query in dataset.queries:
        answer = answers.by_query.get(query.id)
        scores = answer.scores if answer else {}
        head, tail = (
            list(query.candidates[:depth]),
            query.candidates[len(query.candidates[:depth]) :],
        )
        if answer:
            head.sort(key=lambda id: -scores[id])
        orders[query.id] = [*head, *tail]
    return orders


def blended(dataset: Dataset, answers: Answers) -> Orders:
    """The candidates by the service's `unit` scores and their recency when the query was asked."""
    orders = dict(reranked(dataset, answers))
    for query in dataset.queries:
        answer = answers.by_query.get(query.id)
        if answer and query.asked_at:
            found = [Candidate(id, created_at=query.created_at.get(id)) for id in answer.scores]
            scores = list(answer.scores.values())
            ordered = Blend().order(found, scores, query.asked_at.timestamp())
            orders[query.id] = [candidate.text for candidate in ordered]
    return orders


def by_depth(dataset: Dataset, answers: Answers) -> dict[int, float]:
    """Mean nDCG@10 where only so many candidates are reranked, up to as many as there are.

    Scores are those of the whole list: a listwise model may score a shorter one differently.
    """
    most = max(len(query.candidates) for query in dataset.queries)
    depths = [depth for depth in DEPTHS if depth < most] + [min(most, max(most, 1))]
    return {
        depth: mean(evaluate(dataset.queries, reranked(dataset, answers, depth))[MAIN])
        for depth in depths
    }
