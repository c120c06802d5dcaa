"""A request has one answer: cold and warm, alone and beside others, today and after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.golden.cases import CASES
from tests.reliability.traffic import TOLERANCE
from toolkit.running import Service

NAMES = ("korean", "many documents")
Ranks = list[tuple[int, float]]


@pytest.fixture(scope="module")
def default_service(model: Path) -> Iterator[Service]:
    """The service as start.sh starts it, in the precision of the default settings."""
    with Service(model) as running:
        yield running


@pytest.fixture(params=["service", "default_service"])
def running(request: pytest.FixtureRequest) -> Service:
    service: Service = request.getfixturevalue(request.param)
    return service


@pytest.mark.parametrize("name", NAMES)
def test_cold_and_warm_cache(running: Service, name: str) -> None:
    _ask_others(running, count=1)
    cold = _ranks(running, name)

    warm = _ranks(running, name)
    _ask_others(running, count=1)
    cold_again = _ranks(running, name)

    _assert_equal(warm, cold)
    _assert_equal(cold_again, cold)


@pytest.mark.parametrize("name", NAMES)
def test_beside_others(running: Service, name: str) -> None:
    alone = _ranks(running, name)

    with ThreadPoolExecutor() as pool:
        others = pool.submit(_ask_others, running, count=8)
        beside = [*pool.map(lambda _: _ranks(running, name), range(2))]
        others.result()

    for ranks in beside:
        _assert_equal(ranks, alone)


def test_restart(model: Path, default_service: Service) -> None:
    with Service(model) as restarted:
        _assert_equal(_ranks(restarted, "korean"), _ranks(default_service, "korean"))


def _ask_others(service: Service, count: int) -> None:
    """Requests that share nothing with the cases but the template."""
    with ThreadPoolExecutor(count) as pool:
        for response in pool.map(
            lambda i: service.rerank(query=f"other {i}", documents=["noon", "two", "soup"]),
            range(count),
        ):
            response.raise_for_status()


def _ranks(service: Service, name: str) -> Ranks:
    case = CASES[name]
    answer = service.rerank(
        query=case.query, documents=case.documents, instruction=case.instruction
    )
    return [(result["index"], result["relevance_score"]) for result in answer.json()["results"]]


def _assert_equal(ranks: Ranks, expected: Ranks) -> None:
    assert [index for index, _ in ranks] == [index for index, _ in expected]
    scores = [score for _, score in ranks]
    np.testing.assert_allclose(scores, [score for _, score in expected], rtol=0, atol=TOLERANCE)
