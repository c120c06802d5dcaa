"""Measures against trec_eval itself, and against formulas written out here."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import pytrec_eval
from scipy import stats

from app.evaluate.agreement import agree
from app.evaluate.answers import Answer, Answers
from app.evaluate.dataset import Dataset, Query
from app.evaluate.measures import by_depth, compare, evaluate, reranked

# The names that trec_eval gives our measures.
TREC_EVAL = {
    "nDCG@10": "ndcg_cut_10",
    "Recall@5": "recall_5",
    "Recall@10": "recall_10",
    "P@1": "P_1",
}


@pytest.fixture
def queries() -> list[Query]:
    """Thirty queries with random grades, some of documents that are no candidates."""
    source = random.Random(1)
    made = []
    for number in range(30):
        ids = [f"d{i}" for i in range(source.randint(1, 40))]
        judged = source.sample([*ids, "x", "y"], min(len(ids), 8))
        judgements = {id: source.choice([0, 0, 1, 2, 3]) for id in judged}
        made.append(Query(f"q{number}", "?", ids, judgements))
    return made


def dataset(queries: list[Query]) -> Dataset:
    return Dataset(queries, {}, {})


def answers(queries: list[Query], seed: int) -> Answers:
    source = random.Random(seed)
    by_query = {}
    for query in queries:
        scores = {id: source.uniform(-1, 1) for id in query.candidates}
        best = dict(sorted(scores.items(), key=lambda item: -item[1]))
        by_query[query.id] = Answer(best, 0.1, 7)
    return Answers(f"s{seed}", by_query, {})


def test_measures_are_those_of_trec_eval(queries: list[Query]) -> None:
    found = answers(queries, 2)
    values = evaluate(queries, reranked(dataset(queries), found))
    judged = [query for query in queries if query.judged]
    assert 0 < len(judged) < len(queries)
    judge = pytrec_eval.RelevanceEvaluator(
        {query.id: dict(query.judgements) for query in judged}, set(TREC_EVAL.values())
    )
    expected = judge.evaluate({query.id: found.by_query[query.id].scores for query in judged})
    for ours, theirs in TREC_EVAL.items():
        assert values[ours] == pytest.approx({id: row[theirs] for id, row in expected.items()})


def test_mrr_counts_the_first_ten(queries: list[Query]) -> None:
    found = answers(queries, 3)
    values = evaluate(queries, reranked(dataset(queries), found))["MRR@10"]
    for query in queries:
        if query.judged:
            order = list(found.by_query[query.id].scores)
            ranks = [i for i, id in enumerate(order, 1) if query.judgements.get(id, 0) > 0]
            first = min(ranks, default=math.inf)
            assert values[query.id] == pytest.approx(1 / first if first <= 10 else 0.0)


def test_the_order_of_equal_scores_is_that_of_the_answer() -> None:
    query = Query("q", "?", ["b", "a"], {"b": 1})
    found = Answers("s", {"q": Answer({"b": 0.5, "a": 0.5}, 1.0, None)}, {})
    assert evaluate([query], reranked(dataset([query]), found))["P@1"] == {"q": 1.0}


def test_a_query_that_failed_keeps_its_order() -> None:
    query = Query("q", "?", ["b", "a"], {"b": 1})
    assert reranked(dataset([query]), Answers("s", {}, {"q": "504"})) == {"q": ["b", "a"]}


def test_differences_are_tested_in_pairs() -> None:
    source = np.random.default_rng(4)
    ours, theirs = source.random(40), source.random(40)
    ids = [f"q{i}" for i in range(40)]
    found = compare(dict(zip(ids, ours, strict=True)), dict(zip(ids, theirs, strict=True)))
    test = stats.ttest_rel(ours, theirs)
    interval = test.confidence_interval(0.95)
    assert found is not None
    assert (found.mean, found.low, found.high, found.p) == pytest.approx(
        (float(np.mean(ours - theirs)), interval.low, interval.high, test.pvalue)
    )


def test_nothing_is_claimed_of_one_query_or_of_no_difference() -> None:
    assert compare({"q": 1.0}, {"q": 0.0}) is None
    same = compare({"q": 0.5, "r": 0.2}, {"q": 0.5, "r": 0.2})
    assert same is not None
    assert (same.mean, same.p) == (0.0, 1.0)


def test_depths_rerank_only_the_first_candidates() -> None:
    ids = [f"d{i}" for i in range(30)]
    query = Query("q", "?", ids, {"d15": 1})
    scores = {id: float(id == "d15") for id in ids}
    found = Answers("s", {"q": Answer(scores, 1.0, None)}, {})
    assert by_depth(dataset([query]), found) == {10: 0.0, 20: 1.0, 30: 1.0}


def test_agreement_is_kendalls_tau_and_shared_tops(queries: list[Query]) -> None:
    one, other = answers(queries, 5), answers(queries, 6)
    found = agree(one, other)
    taus, largest = [], 0.0
    for id, answer in one.by_query.items():
        theirs = other.by_query[id].scores
        pairs = [(a, b) for a in answer.scores for b in answer.scores if a < b]
        signs = [
            np.sign(answer.scores[a] - answer.scores[b]) * np.sign(theirs[a] - theirs[b])
            for a, b in pairs
        ]
        taus.append(float(np.mean(signs)) if pairs else 1.0)
        largest = max(largest, *(abs(answer.scores[d] - theirs[d]) for d in theirs))
    assert found.tau == pytest.approx(float(np.mean(taus)))
    assert found.largest_difference == pytest.approx(largest)
    itself = agree(one, one)
    assert (itself.top_10, itself.first, itself.largest_difference) == (1.0, 1.0, 0.0)
