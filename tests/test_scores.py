"""Scores against the reference implementation, see tests/golden/make.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden.cases import CASES
from toolkit.running import Service

GOLDEN = json.loads((Path(__file__).parent / "golden/scores.json").read_text())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("fixture", ["service", "embedding_service"])
def test_scores_equal_the_reference(
    request: pytest.FixtureRequest, fixture: str, name: str
) -> None:
    running: Service = request.getfixturevalue(fixture)
    case = CASES[name]

    response = running.rerank(
        query=case.query, documents=case.documents, instruction=case.instruction
    )

    results = response.json()["results"]
    scores = {result["index"]: result["relevance_score"] for result in results}
    assert scores == pytest.approx(dict(enumerate(GOLDEN[name])), abs=1e-4)


def test_golden_scores_can_tell_rankings_apart() -> None:
    spreads = {name: max(scores) - min(scores) for name, scores in GOLDEN.items()}
    assert sum(spread > 0.02 for spread in spreads.values()) >= 6


def test_results_are_sorted_and_complete(service: Service) -> None:
    case = CASES["more than 125 documents"]

    results = service.rerank(query=case.query, documents=case.documents).json()["results"]

    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert sorted(result["index"] for result in results) == list(range(130))
