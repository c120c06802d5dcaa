"""What clients send and get."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.dialects.spoken import DIALECTS
from tests.golden.cases import CASES
from toolkit.running import Service

VECTORS = json.loads((Path(__file__).parent / "golden/vectors.json").read_text())
QUERY = "내일 회의 일정"
DOCUMENTS = ["오늘 점심은 김치찌개를 먹었다", "내일 오후 2시에 품질 미팅이 있습니다", "soup"]


def ranks(response: httpx.Response) -> list[tuple[int, float]]:
    return [(result["index"], result["relevance_score"]) for result in response.json()["results"]]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/reranking", "/v1/reranking"])
def test_jina_answer(service: Service, path: str) -> None:
    body = {"model": "any", "query": QUERY, "documents": DOCUMENTS}

    answer = httpx.post(service.url + path, json=body).json()

    assert answer.keys() == {"id", "model", "usage", "results", "meta"}
    assert answer["model"] == "tiny"
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 250
    assert {frozenset(result) for result in answer["results"]} == {
        frozenset({"index", "relevance_score"})
    }
    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)


def test_text_objects_mean_the_same_as_strings(service: Service) -> None:
    strings = service.rerank(query=QUERY, documents=DOCUMENTS)

    objects = service.rerank(
        query={"text": QUERY}, documents=[{"text": text, "id": 1} for text in DOCUMENTS]
    )

    assert ranks(objects) == ranks(strings)


def test_return_documents(service: Service) -> None:
    answer = service.rerank(query=QUERY, documents=DOCUMENTS, return_documents=True).json()

    for result in answer["results"]:
        assert result["document"] == {"text": DOCUMENTS[result["index"]]}


@pytest.mark.parametrize(
    ("top_n", "expected"), [(None, 3), (0, 3), (1, 1), (2, 2), ("2", 2), (2.0, 2), (99, 3)]
)
def test_top_n(service: Service, top_n: Any, expected: int) -> None:
    all_results = ranks(service.rerank(query=QUERY, documents=DOCUMENTS))

    some = ranks(service.rerank(query=QUERY, documents=DOCUMENTS, top_n=top_n))

    assert some == all_results[:expected]


def test_no_documents(service: Service) -> None:
    answer = service.rerank(query=QUERY, documents=[]).json()

    assert answer["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
    assert answer["results"] == []
    assert service.rerank(query=QUERY, texts=[]).json() == []
    assert _post(service, b'{"query": "a", "documents": []}', "/v2/rerank").json()["results"] == []


def test_tei_answer(service: Service) -> None:
    expected = ranks(service.rerank(query=QUERY, documents=DOCUMENTS))

    plain = service.rerank(query=QUERY, texts=DOCUMENTS, raw_scores=True, truncate=True).json()
    with_text = service.rerank(query=QUERY, texts=DOCUMENTS, return_text=True).json()

    assert plain == [{"index": i, "score": score} for i, score in expected]
    assert [rank["text"] for rank in with_text] == [DOCUMENTS[i] for i, _ in expected]


def test_health(service: Service) -> None:
    health = httpx.get(f"{service.url}/health")

    assert health.json() == {"status": "ok", "model": "tiny", "device": "cpu"}


def test_models(service: Service, model: Path) -> None:
    models = httpx.get(f"{service.url}/v1/models").json()

    assert models["object"] == "list"
    (told,) = models["data"]
    assert (told["id"], told["model_type"], told["kind"]) == ("tiny", "rerank", "listwise")
    assert (told["score"], told["score_range"]) == ("cosine", [-1, 1])
    assert 4000 < told["context"] <= 4096
    assert (told["limits"]["documents"], told["limits"]["document_tokens"]) == (1024, 2048)
    # Somebody's own.
    assert (told["owned_by"], told["licence"]) == ("", "")
    # The file names no type: most of its bytes have it.
    assert told["quantization"] == "F32"
    assert told["sha256"] == hashlib.sha256((model / "model.gguf").read_bytes()).hexdigest()
    assert httpx.get(f"{service.url}/info").json()["model_sha"] == told["sha256"]
    assert httpx.get(f"{service.url}/v1/models/tiny").json() == told
    other = httpx.get(f"{service.url}/v1/models/some/other")
    assert other.status_code == 404
    assert "tiny is served" in other.json()["detail"]


def test_examples_of_the_documentation_run(service: Service) -> None:
    """Each body of each path is answered as its example says."""
    assert httpx.get(f"{service.url}/docs").status_code == 200
    description = httpx.get(f"{service.url}/openapi.json").json()
    schemas = description["components"]["schemas"]
    shown = set()
    for path, operations in description["paths"].items():
        if "post" not in operations:
            continue
        operation = operations["post"]
        answers = operation["responses"]["200"]["content"]["application/json"]["examples"]
        bodies = re.findall(r"schemas/(\w+)", str(operation["requestBody"]))
        assert len(bodies) == len(answers)
        for body, answer in zip(bodies, answers.values(), strict=True):
            headers = {"X-Pinecone-API-Version": "1"} if body == "PineconeBody" else {}
            (example,) = schemas[body]["examples"]
            given = httpx.post(f"{service.url}{path}", json=example, headers=headers, timeout=60)
            assert given.status_code == 200, given.text
            assert shape(given.json()) == shape(answer["value"]), body
            shown.add(body)

    assert len(shown) == len(DIALECTS)


def shape(value: Any) -> Any:
    """The names of objects' members, and the shape of the first item of lists."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


BAD_BODIES: dict[str, tuple[Any, str]] = {
    "empty query": ({"query": "", "documents": ["a"]}, "query"),
    "blank query": ({"query": " \n", "documents": ["a"]}, "query"),
    "number as query": ({"query": 3, "documents": ["a"]}, "query"),
    "no query": ({"documents": ["a"]}, "query"),
    "no documents": ({"query": "a"}, "documents"),
    "string as documents": ({"query": "a", "documents": "abc"}, "documents"),
    "number as document": ({"query": "a", "documents": ["a", 3]}, "documents[1]"),
    "document without text": ({"query": "a", "documents": [{"title": "b"}]}, "documents[0]"),
    "null as document": ({"query": "a", "documents": [None]}, "documents[0]"),
    "negative top_n": ({"query": "a", "documents": ["a"], "top_n": -1}, "top_n"),
    "word as top_n": ({"query": "a", "documents": ["a"], "top_n": "two"}, "top_n"),
    "half as top_n": ({"query": "a", "documents": ["a"], "top_n": 1.5}, "top_n"),
    "top_n as boolean": ({"query": "a", "documents": ["a"], "top_n": True}, "top_n"),
    "surrogate in query": ({"query": "a\ud800", "documents": ["a"]}, "query"),
    "surrogate in document": ({"query": "a", "documents": ["a", "\udfff"]}, "documents[1]"),
    "surrogate in text": ({"query": "a", "texts": ["\udfff"]}, "texts[0]"),
    "number as text": ({"query": "a", "texts": [1]}, "texts[0]"),
    "instruction": ({"query": "a", "documents": ["a"], "instruction": 1}, "instruction"),
    "rank_fields": (
        {"query": "a", "documents": [{"text": "c"}], "rank_fields": [[]]},
        "rank_fields[0]",
    ),
    "list as body": (["a"], "body"),
    "null as body": (None, "body"),
}


NOT_OF_COHERE = {"surrogate in text", "number as text", "instruction", "rank_fields"}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_body_names_the_field(service: Service, name: str) -> None:
    body, field = BAD_BODIES[name]

    response = _post(service, json.dumps(body))

    assert response.status_code == 422
    jina, tei = {"detail", "message"}, {"error", "error_type"}
    if isinstance(body, dict):
        assert response.json().keys() == (tei if "texts" in body else jina)
    else:
        assert response.json().keys() >= jina | tei
    assert _sentence(response).startswith(f"{field}: ")


@pytest.mark.parametrize("name", sorted(BAD_BODIES.keys() - NOT_OF_COHERE))
def test_bad_body_of_cohere(service: Service, name: str) -> None:
    body, field = BAD_BODIES[name]
    response = _post(service, json.dumps(body), "/v2/rerank")

    assert response.status_code == 422
    assert response.json().keys() == {"message"}
    assert response.json()["message"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    "content",
    [b'{"query":', b"", b"query=a", b'{"query": "\xff"}', b"[" * 100_000, b"9" * 5000],
    ids=["truncated", "empty", "form", "not UTF-8", "deep", "long number"],
)
def test_malformed_json(service: Service, content: bytes) -> None:
    response = _post(service, content)

    assert response.status_code == 422
    assert response.json()["detail"].startswith("body: ")


def test_form_is_told_the_content_type(service: Service) -> None:
    response = httpx.post(f"{service.url}/rerank", data={"query": "a"})

    assert response.status_code == 422
    assert "Content-Type: application/json" in response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/v1/rerank", {"query": "a", "document": "b"}, "document: is called documents here"),
        ("/v1/rerank", {"query": "a", "passages": ["b"]}, "passages: is called documents here"),
        ("/v1/rerank", {"q": "a", "documents": ["b"]}, "q: is called query here"),
        ("/rerank", {"query": "a", "documents": ["b"], "top-n": 1}, "top-n: is called top_n here"),
        ("/rerank", {"query": "a", "documents": ["b"], "limit": 1}, "limit: is called top_n here"),
        (
            "/v1/rerank",
            {"query": "a", "documents": ["b"], "instruct": "c", "return_docs": True},
            "return_docs: is called return_documents here; instruct: is called instruction here",
        ),
        (
            "/v2/rerank",
            {"query": "a", "texts": ["b"], "top_k": 1},
            "texts: is called documents here; top_k: is called top_n here",
        ),
        ("/rerank", {"query": "a", "texts": ["b"], "top_k": 1}, "top_k: is called top_n here"),
        ("/v1/ranking", {"query": "a", "passages": ["b"], "top_n": 1}, "is called top_k here"),
        ("/score", {"text_1": "a", "passages": ["b"]}, "is called text_2 or documents or items"),
    ],
)
def test_names_that_people_try(
    service: Service, path: str, body: dict[str, Any], told: str
) -> None:
    response = httpx.post(f"{service.url}{path}", json=body)

    assert response.status_code == 422
    assert told in response.text


def test_names_beside_the_right_ones_do_no_harm(service: Service) -> None:
    right = {"query": "a", "documents": ["b", "c"], "top_n": 1}
    beside = {"question": "a", "docs": ["b"], "k": 7}

    for body in (right | beside, right | {"topk": None}, right):
        answer = httpx.post(f"{service.url}/v2/rerank", json=body)
        assert len(answer.json()["results"]) == 1


def test_unknown_path_and_method(service: Service) -> None:
    for response in (
        httpx.post(f"{service.url}/nothing"),
        httpx.get(f"{service.url}/rerank"),
    ):
        assert response.status_code in (404, 405)
        assert "/docs" in response.json()["detail"]


def test_too_many_documents(service: Service) -> None:
    response = service.rerank(query="a", documents=["b"] * 1025)

    assert response.status_code == 413
    assert "RERANKER_MAX_DOCUMENTS" in response.json()["detail"]


def test_body_too_large(service: Service) -> None:
    body = json.dumps({"query": "a", "documents": ["b" * (32 * 2**20)]}).encode()

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 2**20):
            yield body[start : start + 2**20]

    for content in (body, chunks()):
        response = _post(service, content)
        assert response.status_code == 413
        assert "RERANKER_MAX_BODY_BYTES" in response.json()["detail"]


def test_instruction_that_leaves_no_room(service: Service) -> None:
    response = service.rerank(query="a", documents=["b"], instruction="soup " * 5000)

    assert response.status_code == 422
    assert "LLAMA_ARG_CTX_SIZE" in response.json()["detail"]


def test_max_doc_length(service: Service) -> None:
    tokens = {
        limit: service.rerank(query="a", documents=["noon " * 200], **limits).json()["usage"]
        for limit, limits in (
            (None, {}),
            (20, {"max_doc_length": 20}),
            (10, {"max_tokens_per_doc": 10}),
            (9999, {"max_doc_length": 9999}),
        )
    }

    counts = {limit: usage["prompt_tokens"] for limit, usage in tokens.items()}
    assert counts[20] - counts[10] == 10
    assert counts[None] == counts[9999] > counts[20] + 100


def test_max_doc_length_above_the_default(service: Service) -> None:
    def tokens(**limits: int) -> int:
        answer = service.rerank(query="a", documents=["noon " * 3000], **limits)
        return int(answer.json()["usage"]["prompt_tokens"])

    assert tokens(max_doc_length=2500) - tokens() == 2500 - 2048
    # No more than a context of 4,096 has room for, with the longest query.
    assert 2500 < tokens(max_doc_length=4000) < 4096 - 2 * 500


@pytest.mark.parametrize("field", ["max_doc_length", "max_tokens_per_doc"])
@pytest.mark.parametrize("value", [0, -1, "10", 1.5, True])
def test_bad_max_doc_length(service: Service, field: str, value: object) -> None:
    response = service.rerank(query="a", documents=["b"], **{field: value})

    assert response.status_code == 422
    assert _sentence(response).startswith(f"{field}: ")


def test_return_embeddings(service: Service) -> None:
    case = CASES["korean"]
    body = {"query": case.query, "documents": case.documents, "return_embeddings": True}

    results = service.rerank(**body, top_n=2).json()["results"]

    assert len(results) == 2
    for result in results:
        expected = VECTORS["korean"][result["index"]]
        np.testing.assert_allclose(result["embedding"], expected, rtol=1e-3, atol=1e-4)
    assert ranks(service.rerank(**body)) == ranks(
        service.rerank(**body | {"return_embeddings": False})
    )


def test_search_units(service: Service) -> None:
    for documents, units in ((1, 1), (100, 1), (101, 2)):
        answer = _post(
            service, json.dumps({"query": "a", "documents": ["b"] * documents}), "/v2/rerank"
        )
        assert answer.json()["meta"]["billed_units"] == {"search_units": units}


def _post(service: Service, content: Any, path: str = "/rerank") -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    return httpx.post(f"{service.url}{path}", content=content, headers=headers, timeout=60)


def _sentence(response: httpx.Response) -> str:
    """What is wrong, whatever the dialect calls it."""
    body = response.json()
    return str(body.get("detail") or body["error"])
