"""What a score is: the model's own, from 0 to 1, or what the model computed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest

from app import main
from app.dialects.dialect import Body, Ranked
from app.scores import Scale
from app.settings import Settings
from models.rerank import Card, ConfigurationError, Ranking
from tests.in_process import Pointwise, app_of, client
from toolkit.running import Service

QUERY = "내일 회의 일정"
DOCUMENTS = ["오늘 점심은 김치찌개를 먹었다", "내일 오후 2시에 품질 미팅이 있습니다", "soup"]
COSINES = Card("any", "listwise", "cosine", (-1, 1), "none", "none")
# As the texts of `Pointwise`: logits 1, -2 and 3.
TEXTS = ["four", "1", "sixsix"]
SIGMOIDS = [0.731058, 0.119203, 0.952574]


def ranks(service: Service, **body: Any) -> list[tuple[int, float]]:
    """(index, score) of each result, in the dialect of the body."""
    answer = service.rerank(query=QUERY, **body).raise_for_status().json()
    results = answer["results"] if isinstance(answer, dict) else answer
    return [(r["index"], r.get("relevance_score", r.get("score"))) for r in results]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("documents", {"scores": "unit"}),
        ("documents", {"raw_scores": False}),
        ("texts", {}),
        ("texts", {"raw_scores": False}),
        ("texts", {"scores": "unit", "raw_scores": True}),
    ],
)
def test_unit_is_half_of_one_and_the_cosine(
    service: Service, field: str, words: dict[str, Any]
) -> None:
    cosines = ranks(service, documents=DOCUMENTS)

    units = ranks(service, **{field: DOCUMENTS}, **words)

    assert [index for index, _ in units] == [index for index, _ in cosines]
    assert [score for _, score in units] == pytest.approx([(1 + s) / 2 for _, s in cosines])


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("documents", {"scores": "cosine"}),
        ("documents", {"scores": "raw"}),
        ("documents", {"raw_scores": True}),
        ("texts", {"raw_scores": True}),
        ("texts", {"scores": "cosine", "raw_scores": False}),
    ],
)
def test_cosines_where_they_are_asked_for(
    service: Service, field: str, words: dict[str, Any]
) -> None:
    assert ranks(service, **{field: DOCUMENTS}, **words) == ranks(service, documents=DOCUMENTS)


def test_min_score_is_on_the_scale_of_the_answer(service: Service) -> None:
    cosines = ranks(service, documents=DOCUMENTS)
    middle = cosines[1][1]

    assert ranks(service, documents=DOCUMENTS, min_score=middle) == cosines[:2]
    assert ranks(service, documents=DOCUMENTS, min_score=middle, top_n=1) == cosines[:1]
    unit = (1 + middle) / 2 + 1e-6
    assert [i for i, _ in ranks(service, texts=DOCUMENTS, min_score=unit)] == [cosines[0][0]]
    assert ranks(service, documents=DOCUMENTS, min_score=2) == []


@pytest.mark.parametrize(
    "wrong", [{"scores": "percent"}, {"scores": 1}, {"min_score": "0.5"}, {"min_score": True}]
)
def test_a_wrong_wish_is_named(service: Service, wrong: dict[str, Any]) -> None:
    answer = service.rerank(query=QUERY, documents=DOCUMENTS, **wrong)

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{next(iter(wrong))}: ")


@pytest.mark.parametrize("scale", [None, "unit"])
def test_order_is_the_same_on_every_scale(scale: Scale | None) -> None:
    # Neighbours in float32 whose halves and one half are the same float32.
    cosines = np.array([1e-9, 2e-9, -1e-9, 2e-9, 1 + 1e-7], np.float32)

    ranked = Ranked(Body(), Ranking(cosines), COSINES, "id", scale)

    assert [index for index, _ in ranked.best_first()] == [4, 1, 3, 0, 2]
    assert scale is None or all(0 <= score <= 1 for _, score in ranked.best_first())


async def _post(body: dict[str, Any], **settings: Any) -> httpx.Response:
    async with client(app_of(Pointwise(), **settings)) as asking:
        return await asking.post("/rerank", json={"query": QUERY} | body)


@pytest.mark.anyio
async def test_a_pointwise_model() -> None:
    own = await _post({"documents": TEXTS})
    unit = await _post({"documents": TEXTS}, scores="unit")
    promised = await _post({"texts": TEXTS})
    raw = await _post({"texts": TEXTS, "raw_scores": True, "min_score": 0})

    for answer in (own, unit):
        assert [r["index"] for r in answer.json()["results"]] == [2, 0, 1]
    for results, name in (
        (own.json()["results"], "relevance_score"),
        (unit.json()["results"], "relevance_score"),
        (promised.json(), "score"),
    ):
        scores = {r["index"]: r[name] for r in results}
        assert [scores[i] for i in range(3)] == pytest.approx(SIGMOIDS, abs=1e-5)
    assert raw.json() == [{"index": 2, "score": 3.0}, {"index": 0, "score": 1.0}]


@pytest.mark.anyio
async def test_what_a_pointwise_model_has_not_is_refused() -> None:
    cosine = await _post({"documents": TEXTS, "scores": "cosine"})
    vectors = await _post({"documents": TEXTS, "return_embeddings": True})

    assert cosine.status_code == vectors.status_code == 422
    assert cosine.json()["detail"].startswith("scores: the scores of pointwise are no cosines")
    assert vectors.json()["detail"] == "return_embeddings: pointwise makes no vectors of documents"


@pytest.mark.anyio
async def test_the_kind_of_model_and_score_is_told() -> None:
    async with client(app_of(Pointwise())) as asking:
        (model,) = (await asking.get("/v1/models")).json()["data"]
        info = (await asking.get("/info")).json()
        metrics = (await asking.get("/metrics")).text

    for told in (model, info):
        assert told["kind"] == "pointwise"
        assert (told["score"], told["score_range"]) == ("probability", [0, 1])
    assert 'reranker_model_info{kind="pointwise",name="pointwise",score="probability"} 1' in metrics


@pytest.mark.anyio
async def test_a_setting_that_the_model_cannot_keep_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @asynccontextmanager
    async def opened(_: Settings) -> AsyncIterator[Pointwise]:
        yield Pointwise()

    monkeypatch.setattr(main, "open_model", opened)
    app = app_of(Pointwise(), scores="cosine")

    with pytest.raises(ConfigurationError, match="RERANKER_SCORES is cosine: the scores of point"):
        async with app.router.lifespan_context(app):
            pass
