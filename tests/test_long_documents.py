"""Documents that are longer than the model reads: told, refused or split."""

from __future__ import annotations

import unicodedata
from typing import Any

import httpx
import pytest

from models.long_documents import LongDocuments
from models.passages import passages
from models.rerank import Task
from tests.in_process import Pointwise
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


@pytest.mark.parametrize("direction", ["left", "Left"])
def test_the_end_may_be_kept(service: Service, direction: str) -> None:
    texts = ["noon " * 3000 + "soup is served at two", SHORT]
    kept = answered(service, "/rerank", texts=texts, truncation_direction=direction)
    ends = answered(service, "/rerank", texts=[texts[0][-2049 * 5 :], SHORT])
    cut = answered(service, "/rerank", texts=texts)

    assert kept.headers["X-Truncated-Documents"] == "1"
    scores_of = [{r["index"]: r["score"] for r in answer.json()} for answer in (kept, ends, cut)]
    assert scores_of[0] == pytest.approx(scores_of[1], abs=0.01)
    assert scores_of[0] != pytest.approx(scores_of[2], abs=1e-6)


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


@pytest.mark.anyio
async def test_the_best_passage_counts() -> None:
    # It likes long texts.
    model, short = Pointwise(), "Soup at noon, and tea. " * 3
    long = f"{short}\n\nA meeting starts at two and goes on until three or so.\n\n{short}"
    documents = ["x" * 9, long, short]
    task = Task("q", documents, max_document_tokens=100)
    ranking = await LongDocuments(model, True, 100).rank(task)

    found = await passages(long, 100, model.count, 100)
    assert ranking.passages is not None
    assert ranking.passages[1] == max(found, key=len)
    assert len(found) > 2
    assert ranking.logits is not None
    # What is not split is sent as it came.
    assert ranking.logits.tolist() == [6, len(max(found, key=len)) - 3, len(short) - 3]
    assert list(ranking.truncated) == []


def test_a_pointwise_model_scores_the_passage_as_alone(yes_no_service: Service) -> None:
    options: dict[str, Any] = {"max_doc_length": 80, "return_passages": True}
    split = answered(yes_no_service, documents=[LONG, SHORT], **options).json()
    cut = answered(yes_no_service, documents=[LONG, SHORT], max_doc_length=80).json()

    assert "truncated" not in split
    assert cut["truncated"] == [0]
    for result in split["results"]:
        alone = answered(yes_no_service, documents=[result["passage"]["text"]])
        assert result["relevance_score"] == pytest.approx(scores(alone)[0], abs=1e-4)
    # The first passage takes part, so the best is not worse.
    first = answered(yes_no_service, documents=[LONG], max_chunks_per_doc=1, **options)
    best = max(r["relevance_score"] for r in split["results"] if r["index"] == 0)
    assert best >= scores(first)[0] - 1e-4


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
