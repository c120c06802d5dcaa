"""Recency beside relevance, with a server and without."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import ClassVar

import pytest

from app.client import Blend, Candidate, Fallback, Reranker
from tests.fake_server import FakeHandler
from toolkit.local_server import LocalServer
from toolkit.running import free_port

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)


def texts(candidates: list[Candidate]) -> list[str]:
    return [candidate.text for candidate in candidates]


class Ranks(FakeHandler):
    """Scores the documents 0.9, 0.88, 0.5 and keeps what it was asked."""

    asked: ClassVar[list[dict[str, object]]] = []

    def respond(self) -> None:
        body = json.loads(self.request_body())
        self.asked.append(body)
        results = [{"index": i, "relevance_score": s} for i, s in enumerate((0.9, 0.88, 0.5))]
        self.answer(200, json.dumps({"results": results}).encode())


def test_a_score_grows_with_recency() -> None:
    old = Candidate("old", created_at=NOW - timedelta(days=60))
    new = Candidate("new", created_at=NOW)
    undated = Candidate("undated")
    blend = Blend()

    # Recencies 1/4, 1 and 0: factors 0.95, 1.1 and 0.9.
    def order(*scores: float) -> list[str]:
        return texts(blend.order([old, new, undated], scores, NOW.timestamp()))

    assert order(0.80, 0.69, 0.83) == ["old", "new", "undated"]
    assert order(0.80, 0.70, 0.86) == ["undated", "new", "old"]
    assert texts(Blend(alpha=0).order([old, new], [0.5, 0.49], NOW.timestamp())) == ["old", "new"]
    slower = Blend(half_life_days=600)
    # Recency of the old one 0.5^(1/10): factor 1.0866.
    assert texts(slower.order([new, old], [0.50, 0.507], NOW.timestamp())) == ["old", "new"]


def test_without_scores_similarities_count_or_ranks_where_there_are_none() -> None:
    old = NOW - timedelta(days=300)
    similar = [Candidate("a", 0.60, old), Candidate("b", 0.55, NOW), Candidate("c", 0.3, NOW)]
    assert texts(Blend().order(similar, now=NOW.timestamp())) == ["b", "a", "c"]

    unknown = [Candidate("a", None, old), Candidate("b", 0.9, NOW), Candidate("c", None, NOW)]
    # 1/61 + 0.2/63, 1/62 + 0.2/61, 1/63 + 0.2/62
    scores = [0.019568, 0.019408, 0.019099]
    assert scores == sorted(scores, reverse=True)
    assert texts(Blend().order(unknown, now=NOW.timestamp())) == ["a", "b", "c"]
    # With equal weights: 1/61 + 1/63, 1/62 + 1/61, 1/63 + 1/62
    assert texts(Blend(alpha=1).order(unknown, now=NOW.timestamp())) == ["b", "a", "c"]


@pytest.mark.parametrize("wrong", [{"alpha": -0.1}, {"alpha": float("nan")}, {"half_life_days": 0}])
def test_wrong_values_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Blend(**wrong)


def test_recency_counts_with_the_server_up_as_well_as_down() -> None:
    now = datetime.now(timezone.utc)
    found = [
        Candidate("old", 0.9, now - timedelta(days=300)),
        Candidate("new", 0.88, now),
        Candidate("other", 0.1, now),
    ]
    with LocalServer(Ranks) as server:
        client = Reranker(server.url, blend=Blend())
        assert texts(client.rerank_or_fallback("q", found, top_n=1)) == ["new"]
        plain = Reranker(server.url)
        assert texts(plain.rerank_or_fallback("q", found)) == ["old", "new", "other"]
    blended, unblended = Ranks.asked
    # Any document may come first once recency counts.
    assert (blended["scores"], "top_n" in blended) == ("unit", False)
    assert "scores" not in unblended

    down = Reranker(f"http://127.0.0.1:{free_port()}", blend=Blend())
    assert texts(down.rerank_or_fallback("q", found)) == ["new", "old", "other"]
    by_similarity = Fallback(similarity_weight=1, recency_weight=0)
    down = Reranker(down.url, fallback=by_similarity, blend=Blend())
    assert texts(down.rerank_or_fallback("q", found)) == ["old", "new", "other"]
