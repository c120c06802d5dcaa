"""The curve against another way to fit it, and its figures against ones worked out by hand."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from app.evaluate.answers import Answer, Answers
from app.evaluate.calibration import (
    LEAST_PAIRS,
    Quality,
    Served,
    calibrate,
    halves,
    sigmoid_of,
)
from app.evaluate.dataset import DataError, Dataset, Query
from app.evaluate.jsonl import read_jsonl
from toolkit import memories
from toolkit.running import ROOT

SERVED = Served("demo", "listwise", "0" * 64)


def newton(raw: np.ndarray[Any, Any], relevant: np.ndarray[Any, Any]) -> list[float]:
    """Iteratively reweighted least squares on Platt's targets."""
    ones, others = relevant.sum(), (1 - relevant).sum()
    targets = [(ones + 1) / (ones + 2) if r else 1 / (others + 2) for r in relevant]
    columns = np.stack([raw, np.ones_like(raw)], axis=1)
    curve = np.zeros(2)
    for _ in range(50):
        chances = 1 / (1 + np.exp(-columns @ curve))
        weights = chances * (1 - chances)
        hessian = columns.T @ (columns * weights[:, None])
        curve += np.linalg.solve(hessian, columns.T @ (np.array(targets) - chances))
    return curve.tolist()


@pytest.mark.parametrize(("middle", "spread"), [(0.1, 0.2), (-4.0, 3.0)])
def test_the_curve_is_that_of_newtons_method(middle: float, spread: float) -> None:
    source = np.random.default_rng(7)
    raw = source.normal(middle, spread, 500)
    chances = 1 / (1 + np.exp(-(3 * (raw - middle) / spread - 1)))
    relevant = (source.random(500) < chances).astype(np.float64)

    assert sigmoid_of(raw, relevant) == pytest.approx(newton(raw, relevant), rel=1e-4)


def test_scores_that_part_the_relevant_have_a_finite_curve() -> None:
    a, b = sigmoid_of(np.array([0.1] * 12 + [0.9] * 12), np.array([0.0] * 12 + [1.0] * 12))
    # Two scores: the curve goes through both targets, 1/14 and 13/14.
    assert [a * 0.1 + b, a * 0.9 + b] == pytest.approx([-math.log(13), math.log(13)], rel=1e-4)


def test_brier_score_and_calibration_error_by_hand() -> None:
    found = Quality.of(np.array([0.95, 0.92, 0.31, 1.0, 0.0]), np.array([1.0, 0, 0, 1, 0]))
    # (0.0025 + 0.8464 + 0.0961 + 0 + 0) / 5
    assert found.brier == pytest.approx(0.189)
    # The last bin: |0.95 + 0.92 + 1 - 2| of three; the fourth: 0.31 of one; the first: 0.
    assert found.ece == pytest.approx((0.87 + 0.31) / 5)


def judged(queries: int, chance: float) -> tuple[Dataset, Answers]:
    """Queries with two documents each, of which the first is relevant and has the higher score."""
    made = [
        Query(f"q{n}", "?", [f"{n}/0", f"{n}/1"], {f"{n}/0": 1, f"{n}/1": 0})
        for n in range(queries)
    ]
    source = np.random.default_rng(3)
    by_query = {}
    for query in made:
        high, low = source.normal([chance, -chance], 0.3)
        by_query[query.id] = Answer(dict(zip(query.candidates, (high, low), strict=True)), 1, 1)
    return Dataset(made, {}, {}), Answers("s", by_query, {})


def test_what_is_held_out_is_not_fitted_on() -> None:
    dataset, answers = judged(60, 0.2)
    fit, held_out = halves(dataset)
    assert {query.id for query in fit}.isdisjoint(query.id for query in held_out)

    found = calibrate(dataset, answers, SERVED)

    assert (found.fitted_on.pairs, found.held_out.pairs, found.held_out.relevant) == (60, 60, 30)
    raw = np.array([score for query in fit for score in answers.by_query[query.id].scores.values()])
    expected = newton(raw, np.array([1.0, 0.0] * 30))
    assert [found.calibration.a, found.calibration.b] == pytest.approx(expected, rel=1e-4)
    squares = []
    for query in held_out:
        for score, relevant in zip(answers.by_query[query.id].scores.values(), (1, 0), strict=True):
            squares.append(((1 + score) / 2 - relevant) ** 2)
    assert found.unit.brier == pytest.approx(sum(squares) / 60)
    assert found.calibrated.brier < found.unit.brier


def test_logits_are_units_by_the_sigmoid() -> None:
    assert Served("m", "pointwise", "0").unit(np.array([0.0, math.log(3)])).tolist() == (
        pytest.approx([0.5, 0.75])
    )


def test_too_few_judged_pairs_are_refused() -> None:
    dataset, _ = judged(2 * LEAST_PAIRS - 1, 0.2)
    with pytest.raises(DataError, match=f"have {LEAST_PAIRS - 1} relevant documents"):
        halves(dataset)
    dataset, answers = judged(2 * LEAST_PAIRS, 0.2)
    some = dict(list(answers.by_query.items())[:-1])
    with pytest.raises(DataError, match="too few judged pairs"):
        calibrate(dataset, Answers("s", some, {"q19": "504"}), SERVED)


def test_scores_that_fall_with_relevance_are_refused() -> None:
    dataset, answers = judged(40, -0.2)
    with pytest.raises(DataError, match="are not more often relevant"):
        calibrate(dataset, answers, SERVED)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"id": "m", "kind": "listwise", "sha256": None}, "does not tell the SHA-256"),
        ({"id": "m"}, "does not tell the SHA-256"),
        ({"id": "m", "kind": "other", "sha256": "0"}, "'other' of its kind"),
    ],
)
def test_a_service_that_does_not_tell_its_file_is_refused(
    told: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        Served.of(told)


def test_the_memories_are_those_that_are_made_here() -> None:
    found = list(read_jsonl(ROOT / "weights/demo/memories.jsonl", 100).queries)
    made = list(memories.lines())

    assert len({line["id"].partition("-")[0] for line in made}) == 10
    for query, line in zip(found, made, strict=True):
        assert query.text == line["query"]
        assert [query.created_at[id].isoformat() for id in query.candidates] == line["created_at"]
        (relevant,) = (id for id, grade in query.judgements.items() if grade)
        if "changing" in query.id:
            # Of three that differ in their digits it is the newest.
            words = dict(zip(query.candidates, line["documents"], strict=True))
            words = {id: re.sub(r"[\d-]+", "", text) for id, text in words.items()}
            same = [id for id in words if words[id] == words[relevant]]
            assert len(same) == 3
            assert relevant == max(same, key=lambda id: query.created_at[id])
