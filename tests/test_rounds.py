"""More documents than one request takes, in rounds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.client import RequestError, RerankerError, Result, Results
from app.commands.rounds import Limits, rank_in_rounds

# The score of a document is the number in it.
DOCUMENTS = [f"{(n * 37) % 101} é" for n in range(100)]
BEST = sorted(range(100), key=lambda n: -int(DOCUMENTS[n].split()[0]))


class Model:
    """Scores documents by themselves, and refuses requests with more than `most` characters."""

    def __init__(self, most: int = 10**9) -> None:
        self.asked: list[int] = []
        self._most = most

    def __call__(self, texts: Sequence[str], top_n: int | None) -> Results:
        self.asked.append(len(texts))
        if sum(map(len, texts)) > self._most:
            raise RerankerError("too large", 413)
        results = [Result(n, float(text.split()[0])) for n, text in enumerate(texts)]
        results.sort(key=lambda result: -result.relevance_score)
        return Results(results[:top_n])


def indices(results: Results) -> list[int]:
    return [result.index for result in results]


def test_what_fits_is_one_request() -> None:
    model = Model()

    assert indices(rank_in_rounds(model, DOCUMENTS, None, Limits(100))) == BEST
    assert model.asked == [100]


@pytest.mark.parametrize("limit", [7, 10, 33, 99])
def test_none_of_the_best_is_lost(limit: int) -> None:
    model = Model()
    results = rank_in_rounds(model, DOCUMENTS, 3, Limits(limit))

    assert indices(results) == BEST[:3]
    assert max(model.asked) <= limit


def test_without_a_number_the_last_round_is_told() -> None:
    model = Model()
    results = rank_in_rounds(model, DOCUMENTS, None, Limits(30))

    assert model.asked == [30, 30, 30, 10, 28]
    assert indices(results)[:5] == BEST[:5]
    assert len(results) == 28


def test_a_limit_that_nobody_tells_is_found() -> None:
    model = Model(most=60)

    assert indices(rank_in_rounds(model, DOCUMENTS, 4, Limits.told({}))) == BEST[:4]


def test_bytes_of_a_request() -> None:
    texts = [f"{n} {'é' * 20_000}" for n in range(8)]
    model = Model()

    results = rank_in_rounds(model, texts, 1, Limits(body_bytes=64 * 1024 + 3 * 40_100))

    assert indices(results) == [7]
    assert max(model.asked) == 3


def test_documents_that_were_cut_in_the_last_round() -> None:
    def cut(texts: Sequence[str], top_n: int | None) -> Results:
        results = Model()(texts, top_n)
        results.truncated = [results[0].index]
        return results

    assert rank_in_rounds(cut, DOCUMENTS, 2, Limits(50)).truncated == BEST[:1]


def test_what_rounds_cannot_rank() -> None:
    with pytest.raises(RequestError, match="one request takes 10 of these documents"):
        rank_in_rounds(Model(), DOCUMENTS, 10, Limits(10))
    with pytest.raises(RerankerError, match="too large"):
        rank_in_rounds(Model(most=2), DOCUMENTS, 1, Limits(10))


@pytest.mark.parametrize("limits", [None, 3, {"documents": "many"}, {"documents": 0}])
def test_limits_that_are_not_told(limits: object) -> None:
    assert Limits.told({"limits": limits}) == Limits()
