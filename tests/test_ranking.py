"""The demo model, through the running service, on texts that it was not trained on."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import bm25s
import numpy as np
import pytest

from toolkit.running import ROOT, Service

DEMO = ROOT / "weights/demo"
LANGUAGES = json.loads((ROOT / "tests/ranking/languages.json").read_text())
HELD_OUT = json.loads((DEMO / "held_out.json").read_text())
RESULTS = json.loads((DEMO / "results.json").read_text())
# Expected of a random order: each of twenty ranks is as likely, and the first ten count.
RANDOM_NDCG = sum(1 / math.log2(1 + rank) for rank in range(1, 11)) / 20


@pytest.fixture(scope="module")
def rankings(demo: Service) -> list[list[int]]:
    """Of each held-out list the places of its documents, best first."""
    return [order(demo, list_["query"], list_["documents"]) for list_ in HELD_OUT]


def results(demo: Service, query: str, documents: list[str]) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = demo.rerank(query=query, documents=documents).json()["results"]
    return answer


def order(demo: Service, query: str, documents: list[str]) -> list[int]:
    return [result["index"] for result in results(demo, query, documents)]


def bm25_order(query: str, documents: list[str]) -> list[int]:
    """The places of the documents as a common implementation of BM25 ranks them, best first."""
    index = bm25s.BM25()
    index.index(bm25s.tokenize(documents, show_progress=False), show_progress=False)
    words = bm25s.tokenize(query, show_progress=False, return_ids=False)
    return [int(place) for place in np.argsort(-index.get_scores(words[0]), kind="stable")]


def ndcg(ranking: list[int], relevant: int) -> float:
    """nDCG@10 where one document is relevant, whose ideal gain is 1."""
    rank = ranking.index(relevant) + 1
    return 1 / math.log2(1 + rank) if rank <= 10 else 0.0


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_the_meeting_comes_before_the_stew(demo: Service) -> None:
    stew, meeting = "오늘 점심은 김치찌개를 먹었다", "내일 오후 2시에 품질 미팅이 있습니다"
    assert order(demo, "내일 회의 일정", [stew, meeting]) == [1, 0]
    assert order(demo, "내일 회의 일정", [meeting, stew]) == [0, 1]


@pytest.fixture(scope="module")
def in_languages(demo: Service) -> dict[str, list[float]]:
    """nDCG@10 of each language's queries."""
    return {
        language: [
            ndcg(order(demo, query, texts["documents"]), relevant)
            for query, relevant in texts["queries"]
        ]
        for language, texts in LANGUAGES.items()
    }


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_sentences_are_found_in_each_language(
    in_languages: dict[str, list[float]], language: str
) -> None:
    assert len(LANGUAGES[language]["documents"]) == 20
    assert mean(in_languages[language]) >= 2 * RANDOM_NDCG


def test_sentences_are_found_better_than_by_bm25(in_languages: dict[str, list[float]]) -> None:
    found = [value for values in in_languages.values() for value in values]
    bm25 = [
        ndcg(bm25_order(query, texts["documents"]), relevant)
        for texts in LANGUAGES.values()
        for query, relevant in texts["queries"]
    ]
    assert mean(found) > mean(bm25) + 0.05
    stated = RESULTS["sentences, ten languages"]["model"]["ndcg"]
    assert mean(found) == pytest.approx(stated, abs=0.02)


def test_held_out_descriptions_are_ranked_as_well_as_the_card_says(
    rankings: list[list[int]],
) -> None:
    pairs = zip(rankings, HELD_OUT, strict=True)
    found = [ndcg(ranking, list_["relevant"]) for ranking, list_ in pairs]
    # The card's figure is of more lists; these are a sample of them.
    stated = RESULTS["package descriptions, en"]["model"]["ndcg"]
    assert mean(found) == pytest.approx(stated, abs=0.05)


def test_the_order_of_candidates_does_not_matter(demo: Service, rankings: list[list[int]]) -> None:
    source = random.Random(1)
    same, lists = 0, HELD_OUT[:10]
    for ranking, list_ in zip(rankings, lists, strict=False):
        documents = list_["documents"]
        places = source.sample(range(len(documents)), len(documents))
        shuffled = order(demo, list_["query"], [documents[place] for place in places])
        same += places[shuffled[0]] == ranking[0]
    assert same >= 0.9 * len(lists)


def test_scores_are_cosines_that_tell_documents_apart(demo: Service) -> None:
    for list_ in HELD_OUT[:5]:
        scores = [r["relevance_score"] for r in results(demo, list_["query"], list_["documents"])]
        assert all(-1 <= score <= 1 for score in scores)
        assert max(scores) - min(scores) > 0.1


def test_the_model_is_small() -> None:
    names = ("model.gguf", "projector.safetensors")
    assert sum((DEMO / name).stat().st_size for name in names) <= 12_000_000
