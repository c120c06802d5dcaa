"""Documents that are longer than the model reads: told, refused or split."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import pytest

from models.families import CARDS
from models.long_documents import LongDocuments
from models.rerank import OnTurn, Ranking, Task, no_matter
from toolkit.running import Service

LONG = " ".join(f"soup {i} is at noon." for i in range(60))
SHORT = "meeting at two"
DECOMPOSED = unicodedata.normalize("NFD", "내일 오후 두 시에 회의가 있습니다. ") * 20
EMOJI = "점심은 👨‍👩‍👧‍👦 국수 🇰🇷.\r\n" * 30


def answered(service: Service, path: str = "/v1/rerank", **body: Any) -> httpx.Response:
    return httpx.post(f"{service.url}{path}", json={"query": "soup?"} | body, timeout=60)


def scores(answer: httpx.Response) -> dict[int, float]:
    return {r["index"]: r["relevance_score"] for r in answer.json()["results"]}


def test_what_is_cut_is_told(service: Service) -> None:
    before = service.metric("truncated_documents_total")
    answer = answered(service, documents=[SHORT, LONG, LONG], max_doc_length=30)
    cohere = answered(service, "/v2/rerank", documents=[SHORT, LONG], max_tokens_per_doc=30)

    assert answer.json()["truncated"] == [1, 2]
    assert answer.headers["X-Truncated-Documents"] == "2"
    (warning,) = answer.json()["meta"]["warnings"]
    assert "1, 2" in warning
    assert "1" in cohere.json()["meta"]["warnings"][0]
    assert service.metric("truncated_documents_total") == before + 3


def test_nothing_is_told_where_nothing_is_cut(service: Service) -> None:
    for answer in (
        answered(service, documents=[SHORT, "noon"]),
        answered(service, documents=[SHORT, LONG], max_doc_length=30, long_documents="split"),
    ):
        assert "truncated" not in answer.json()
        assert "warnings" not in answer.json()["meta"]
        assert "X-Truncated-Documents" not in answer.headers


def test_a_query_that_is_cut_is_told(service: Service) -> None:
    answer = answered(service, query="soup at noon? " * 300, documents=[SHORT])

    (warning,) = answer.json()["meta"]["warnings"]
    assert "RERANKER_MAX_QUERY_TOKENS" in warning


def test_a_text_that_may_not_be_cut_is_refused(service: Service) -> None:
    texts = [SHORT, "noon " * 3000]
    cut = answered(service, "/rerank", texts=texts)
    refused = answered(service, "/rerank", texts=texts, truncate=False)
    query = answered(service, "/rerank", query="noon " * 900, texts=[SHORT], truncate=False)

    assert cut.status_code == 200
    assert (refused.status_code, query.status_code) == (422, 422)
    assert "document 1 is longer" in refused.json()["error"]
    assert "the query is longer" in query.json()["error"]


def test_a_split_document_has_the_score_of_its_best_passage(service: Service) -> None:
    options: dict[str, Any] = {"long_documents": "split", "max_doc_length": 60}
    split = answered(service, documents=[LONG, SHORT], return_passages=True, **options).json()

    # Its passages overlap, so that each begins with a sentence of the one before.
    best = {r["index"]: r["passage"] for r in split["results"]}
    assert best[0]["text"] == LONG[best[0]["start"] : best[0]["end"]]
    assert best[0]["end"] - best[0]["start"] < len(LONG) / 4
    assert best[1] == {"text": SHORT, "start": 0, "end": len(SHORT)}
    # Listwise: the others' passages are its neighbours, and the same ones take part.
    alone = answered(service, documents=[best[0]["text"]], max_doc_length=60).json()
    assert alone["usage"]["prompt_tokens"] < split["usage"]["prompt_tokens"] / 3
    assert "truncated" not in alone


@pytest.mark.parametrize("document", [LONG, DECOMPOSED, EMOJI], ids=["en", "decomposed", "emoji"])
def test_the_best_passage_is_ranked_like_a_document(service: Service, document: str) -> None:
    options: dict[str, Any] = {
        "long_documents": "split",
        "return_passages": True,
        "max_doc_length": 64,
    }
    passage = answered(service, documents=[document], **options).json()["results"][0]["passage"]
    assert document[passage["start"] : passage["end"]] == passage["text"]

    # The first passage alone: all that is read is that one, as a document of its own.
    first = answered(service, documents=[document], max_chunks_per_doc=1, **options).json()
    text = first["results"][0]["passage"]["text"]
    assert first["truncated"] == [0]
    assert document.lstrip().startswith(text)
    assert first["results"][0]["relevance_score"] == pytest.approx(
        scores(answered(service, documents=[text]))[0], abs=1e-6
    )


class Counting:
    """A model that scores a text by its `x`, for a tokenizer that makes a token of each byte."""

    card = CARDS["jina-reranker-v3"]
    waiting, slots, max_tokens = 0, 1, 1000

    def document_tokens(self, task: Task) -> int:
        return 100

    async def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.encode()) for text in texts]

    async def check(self) -> None: ...

    async def rank(self, task: Task, on_turn: OnTurn = no_matter) -> Ranking:
        assert all(len(text) <= 100 for text in task.documents)
        scores = np.array([text.count("x") for text in task.documents], np.float32)
        return Ranking(scores, vectors=scores[:, None] * 2, logits=scores * 3)


@pytest.mark.anyio
async def test_the_best_passage_counts() -> None:
    filler = "Nothing to see here, move on please. " * 9
    documents = [filler + "Here x and xx. " + filler + "x.", "x" * 9, filler]
    ranking = await LongDocuments(Counting(), True, 100).rank(Task("q", documents))

    assert ranking.scores.tolist() == [3, 9, 0]
    assert ranking.vectors is not None
    assert ranking.vectors[:, 0].tolist() == [6, 18, 0]
    assert ranking.logits is not None
    assert ranking.logits.tolist() == [9, 27, 0]
    assert ranking.passages is not None
    best = ranking.passages[0]
    assert "Here x and xx." in documents[0][best.start : best.stop]
    assert list(ranking.truncated) == []


def test_too_many_passages_are_refused(service: Service) -> None:
    refused = answered(
        service, documents=["noon " * 3000], long_documents="split", max_doc_length=1
    )

    assert refused.status_code == 413
    assert "RERANKER_MAX_PASSAGES" in refused.json()["detail"]
    assert "more than 4,096 passages" in refused.json()["detail"]


def test_an_unknown_wish_is_refused(service: Service) -> None:
    refused = answered(service, documents=[SHORT], long_documents="fold")

    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("long_documents: ")
