"""Cross-encoders: scores against the reference, see tests/golden/make_pairs.py, and what holds."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from models.open import open_model
from models.rerank import Ranking, Task
from tests.golden.pairs import BEGINNING, IN_PARTS, PAIR_CASES
from toolkit import tiny_encoder
from toolkit.running import Service

GOLDEN: dict[str, dict[str, list[float]]] = json.loads(
    (Path(__file__).parent / "golden/pairs.json").read_text()
)
# llama.cpp's GELU is a table of half precision.
TOLERANCE = 1e-3
FLAGS = ("--embeddings", "--pooling", "cls", "--batch-size", "1024", "--ubatch-size", "1024")


def probabilities(logits: list[float]) -> list[float]:
    return [1 / (1 + math.exp(-logit)) for logit in logits]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    tiny_encoder.make().write(folder / "model.gguf")
    tiny_encoder.make(seed=1).write(folder / "other.gguf")
    return folder


@pytest.fixture(scope="module")
def pairs(folder: Path) -> Iterator[Service]:
    """The service with a tiny cross-encoder."""
    with Service(folder, RERANKER_MODEL=IN_PARTS) as running:
        yield running


def scores(answer: httpx.Response) -> dict[int, float]:
    assert answer.status_code == 200, answer.text
    return {result["index"]: result["relevance_score"] for result in answer.json()["results"]}


@pytest.mark.parametrize("name", PAIR_CASES)
def test_scores_equal_the_reference(pairs: Service, name: str) -> None:
    case = PAIR_CASES[name]
    expected = probabilities(GOLDEN[IN_PARTS][name])

    found = scores(pairs.rerank(query=case.query, documents=case.documents))

    assert found == pytest.approx(dict(enumerate(expected)), abs=TOLERANCE)


async def rank(wanted: Settings, *tasks: Task) -> list[Ranking]:
    async with open_model(wanted) as model:
        return [await model.rank(task) for task in tasks]


@pytest.fixture
def behind(pairs: Service, folder: Path) -> Settings:
    """The settings of a model over the llama-server behind the service."""
    return Settings(
        model=BEGINNING,
        gguf=folder / "model.gguf",
        llama_server_url=pairs.llama_server_url,
        llama_server_api_key=pairs.llama_server_key,
    )


def test_a_model_that_reads_the_beginning_equals_the_reference(behind: Settings) -> None:
    tasks = [Task(case.query, case.documents) for case in PAIR_CASES.values()]

    rankings = asyncio.run(rank(behind, *tasks))

    for name, ranking in zip(PAIR_CASES, rankings, strict=True):
        expected = GOLDEN[BEGINNING][name]
        assert ranking.scores.tolist() == pytest.approx(probabilities(expected), abs=TOLERANCE)
        assert ranking.logits is not None
        assert probabilities(ranking.logits.tolist()) == pytest.approx(ranking.scores.tolist())


def test_golden_scores_can_tell_parts_and_rankings_apart() -> None:
    long = GOLDEN[IN_PARTS]["3,000 words"][0] - GOLDEN[BEGINNING]["3,000 words"][0]
    assert long > 10 * TOLERANCE
    spreads = [max(logits) - min(logits) for logits in GOLDEN[IN_PARTS].values()]
    assert sum(spread > 0.2 for spread in spreads) >= 6


def test_what_is_cut_is_told_and_passages_score_as_alone(pairs: Service) -> None:
    body: dict[str, Any] = {"query": "soup?", "documents": ["noon. " * 40, "two"]}
    cut = pairs.rerank(**body, max_doc_length=20).json()
    split = pairs.rerank(**body, max_doc_length=20, return_passages=True).json()

    assert cut["truncated"] == [0]
    assert "truncated" not in split
    for result in split["results"]:
        alone = pairs.rerank(query="soup?", documents=[result["passage"]["text"]]).json()
        score = alone["results"][0]["relevance_score"]
        assert result["relevance_score"] == pytest.approx(score, abs=1e-4)
