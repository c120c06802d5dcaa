"""What the clients of each dialect send, and what they take, by their wire formats."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.in_process import Pointwise, app_of, client
from toolkit.running import Service

QUERY = "내일 회의 일정"
DOCUMENTS = ["오늘 점심은 김치찌개를 먹었다", "내일 오후 2시에 품질 미팅이 있습니다", "soup"]
LONG = "noon " * 3000


def post(service: Service, path: str, headers: Any = None, **body: Any) -> Any:
    """The answer of a request that must be served."""
    answer = httpx.post(service.url + path, json=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(service: Service, path: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
    """The error of a request that must be refused."""
    answer = httpx.post(service.url + path, json=body, headers=headers, timeout=60)
    assert answer.status_code == 422, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def cosines(service: Service) -> list[Any]:
    """(index, score), best first."""
    results = service.rerank(query=QUERY, documents=DOCUMENTS).json()["results"]
    return [(result["index"], pytest.approx(result["relevance_score"])) for result in results]


@pytest.fixture(scope="module")
def units(cosines: list[Any]) -> list[Any]:
    """The same from 0 to 1."""
    return [(index, pytest.approx((1 + score.expected) / 2)) for index, score in cosines]


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
def test_voyage(service: Service, cosines: list[Any], path: str) -> None:
    sent = {"query": QUERY, "documents": DOCUMENTS, "model": "rerank-2"}

    all_of_them = post(service, path, **sent, top_k=None, truncation=True)
    two = post(service, path, **sent, top_k=2, return_documents=True)

    assert all_of_them["object"] == "list"
    assert all_of_them["model"] == "tiny"
    assert all_of_them["usage"]["total_tokens"] > 250
    assert [(r["index"], r["relevance_score"]) for r in all_of_them["data"]] == cosines
    assert "document" not in all_of_them["data"][0]
    assert [r["document"] for r in two["data"]] == [DOCUMENTS[i] for i, _ in cosines[:2]]
    wrong = refused(service, path, query="", documents=DOCUMENTS, truncation=True)
    assert wrong == {"detail": "query: must not be empty"}


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/rerank", {}, {"documents": ["a", LONG], "truncation": False}),
        ("/rerank", {}, {"texts": ["a", LONG], "truncate": False}),
        ("/v1/ranking", {}, {"passages": ["a", LONG], "truncate": "NONE"}),
        (
            "/rerank",
            {"X-Pinecone-API-Version": "2025-10"},
            {"documents": ["a", LONG], "parameters": {"truncate": "NONE"}},
        ),
    ],
)
def test_what_must_not_be_cut_is_refused_by_its_place(
    service: Service, path: str, headers: dict[str, str], body: dict[str, Any]
) -> None:
    error = str(refused(service, path, headers, query="b", **body))

    assert "document 1 is longer than the model reads" in error
    name = next(iter(body))
    post(service, path, headers, query="b", **body | {name: ["a", "b"]})


@pytest.mark.parametrize(
    "path",
    ["/v1/ranking", "/ranking", "/v1/reranking", "/v1/retrieval/nvidia/some-model/reranking"],
)
def test_nvidia(service: Service, cosines: list[Any], path: str) -> None:
    answer = post(
        service,
        path,
        model="nvidia/some-model",
        query={"text": QUERY},
        passages=[{"text": text} for text in DOCUMENTS],
        truncate="END",
    )

    assert [(r["index"], r["logit"]) for r in answer["rankings"]] == cosines
    assert answer.keys() == {"rankings"}
    some = post(service, path, query=QUERY, passages=DOCUMENTS, top_k=1)
    assert len(some["rankings"]) == 1
    wrong = refused(service, path, query={"text": ""}, passages=[])
    assert wrong == {"detail": "query: must not be empty"}
    assert (
        "image"
        in refused(service, path, query="a", passages=[{"text": "a", "image": "b"}])["detail"]
    )


@pytest.mark.anyio
async def test_nvidia_gets_logits_where_there_are_any() -> None:
    body = {"query": {"text": "a"}, "passages": [{"text": "four"}, {"text": "sixsix"}]}
    async with client(app_of(Pointwise())) as asking:
        answer = await asking.post("/v1/ranking", json=body)

    assert answer.json() == {"rankings": [{"index": 1, "logit": 3.0}, {"index": 0, "logit": 1.0}]}


def test_mixedbread(service: Service, cosines: list[Any]) -> None:
    path = "/v1/reranking"
    plain = post(service, path, model="any", query=QUERY, input=DOCUMENTS)
    two = post(service, path, query=QUERY, input=DOCUMENTS, top_k=2, return_input=True)

    assert [(r["index"], r["score"]) for r in plain["data"]] == cosines
    assert plain["object"] == "list"
    assert (plain["top_k"], plain["return_input"]) == (3, False)
    assert plain["usage"]["prompt_tokens"] == plain["usage"]["total_tokens"] > 250
    assert plain["data"][0].keys() == {"index", "score", "object"}
    assert [r["input"] for r in two["data"]] == [DOCUMENTS[i] for i, _ in cosines[:2]]
    objects = [{"title": text, "id": 7} for text in DOCUMENTS]
    named = post(service, path, query=QUERY, input=objects, rank_fields=["title"])
    assert [(r["index"], r["score"]) for r in named["data"]] == cosines
    wrong = refused(service, path, query=QUERY, input=DOCUMENTS, rewrite_query=True)
    assert wrong["detail"].startswith("rewrite_query: a query is ranked as it is")


@pytest.mark.parametrize("path", ["/v1/models/rerank", "/models/rerank"])
def test_zeroentropy(service: Service, units: list[Any], path: str) -> None:
    sent: dict[str, Any] = {"query": QUERY, "documents": DOCUMENTS, "model": "zerank-2"}

    answer = post(service, path, **sent, top_n=2, latency="slow")

    assert [(r["index"], r["relevance_score"]) for r in answer["results"]] == units[:2]
    assert answer["actual_latency_mode"] == "slow"
    assert answer["e2e_latency"] >= answer["inference_latency"] >= 0
    assert answer["total_bytes"] == len((QUERY + "".join(DOCUMENTS)).encode())
    assert answer["total_tokens"] > 250
    assert refused(service, path, **sent | {"query": ""}) == {"detail": "query: must not be empty"}


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v1/reranking"])
def test_tei(service: Service, units: list[Any], path: str) -> None:
    answer = post(
        service,
        path,
        query=QUERY,
        texts=[{"text": text} for text in DOCUMENTS],
        top_n=2,
        raw_scores=False,
        truncate=True,
        truncation_direction="Right",
    )

    assert [(rank["index"], rank["score"]) for rank in answer] == units[:2]
    info = httpx.get(f"{service.url}/v1/info").json()
    assert info == httpx.get(f"{service.url}/info").json()
    assert (info["score"], info["score_range"]) == ("unit", [0, 1])


def test_pinecone(service: Service, units: list[Any]) -> None:
    headers = {"x-pinecone-api-version": "2025-10"}
    documents = [{"id": f"doc_{i}", "text": text} for i, text in enumerate(DOCUMENTS)]
    sent = {"model": "any", "query": QUERY, "documents": documents, "rank_fields": ["text"]}

    answer = post(service, "/rerank", headers, **sent, parameters={"truncate": "END"})
    bare = post(service, "/rerank", headers, **sent, top_n=1, return_documents=False)

    assert [(r["index"], r["score"]) for r in answer["data"]] == units
    assert [r["document"] for r in answer["data"]] == [documents[i] for i, _ in units]
    assert answer["usage"] == {"rerank_units": 1}
    assert answer["model"] == "tiny"
    assert bare["data"] == [{"index": units[0][0], "score": units[0][1]}]
    strings = post(service, "/rerank", headers, query=QUERY, documents=DOCUMENTS)
    assert strings["data"][0]["document"] == {"text": DOCUMENTS[units[0][0]]}
    wrong = refused(service, "/rerank", headers, query="", documents=DOCUMENTS)
    assert wrong["error"] == {"code": "INVALID_ARGUMENT", "message": "query: must not be empty"}
    headers["Content-Type"] = "application/json"
    surrogate = b'{"query": "a", "documents": [{"id": "\\ud800", "text": "a"}]}'
    answered = httpx.post(f"{service.url}/rerank", content=surrogate, headers=headers)
    assert answered.json()["data"][0]["document"] == {"id": "?", "text": "a"}


def test_weaviate(service: Service, cosines: list[Any]) -> None:
    answer = post(service, "/rerank", query=QUERY, documents=DOCUMENTS, property="")

    scores = dict(cosines)
    assert answer == {
        "query": QUERY,
        "scores": [{"document": text, "score": scores[i]} for i, text in enumerate(DOCUMENTS)],
    }
    wrong = refused(service, "/rerank", query=QUERY, documents=DOCUMENTS, property="", min_score=0)
    assert wrong["error"].startswith("min_score: every document has its score")
    for path in ("/.well-known/ready", "/.well-known/live"):
        ready = httpx.get(service.url + path)
        assert (ready.status_code, ready.content) == (204, b"")
    assert httpx.get(f"{service.url}/meta").json()["id"] == "tiny"


def test_a_connection_is_closed_where_its_client_says_so(service: Service) -> None:
    """Which spreads requests over the pods of a service in Kubernetes."""
    answer = httpx.get(f"{service.url}/health", headers={"Connection": "close"})

    assert (answer.status_code, answer.headers["Connection"]) == (200, "close")


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
@pytest.mark.parametrize(
    "body",
    [
        {"text_1": QUERY, "text_2": DOCUMENTS},
        {"text_1": [QUERY], "text_2": DOCUMENTS},
        {"queries": QUERY, "documents": DOCUMENTS, "truncate_prompt_tokens": -1},
        {"queries": [QUERY] * 3, "items": DOCUMENTS},
        {"data_1": QUERY, "data_2": DOCUMENTS},
    ],
)
def test_vllm_score(service: Service, cosines: list[Any], path: str, body: dict[str, Any]) -> None:
    answer = post(service, path, model="any", **body)

    scores = dict(cosines)
    assert answer["data"] == [{"index": i, "object": "score", "score": scores[i]} for i in range(3)]
    assert (answer["object"], answer["model"]) == ("list", "tiny")
    assert answer["usage"]["total_tokens"] > 250


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"text_1": ["a", "b"], "text_2": ["c", "d"]}, "text_1: must be one query"),
        ({"text_1": "a"}, "body: needs text_1 and text_2"),
        ({"queries": "a", "documents": ["b"], "min_score": 0.5}, "min_score: "),
        ({"queries": "", "documents": ["b"]}, "queries: must not be empty"),
        ({"queries": [], "documents": ["b"]}, "queries: must be one query"),
    ],
)
def test_vllm_score_refused(service: Service, body: dict[str, Any], sentence: str) -> None:
    error = refused(service, "/score", **body)["error"]

    assert error["message"].startswith(sentence)
    assert error["code"] == 422


def test_vllm_score_of_one(service: Service, cosines: list[Any]) -> None:
    one = post(service, "/score", text_1=QUERY, text_2=DOCUMENTS[0])

    assert [r["index"] for r in one["data"]] == [0]


@pytest.mark.parametrize(
    ("field", "honoured", "refusal"),
    [
        ("truncate_prompt_tokens", -1, 512),
        ("truncation_side", "left", "middle"),
        ("max_tokens_per_query", None, 64),
    ],
)
def test_what_vllm_knows_is_never_ignored(
    service: Service, field: str, honoured: Any, refusal: Any
) -> None:
    sent: dict[str, Any] = {"query": QUERY, "documents": DOCUMENTS}

    assert len(post(service, "/v1/rerank", **sent, **{field: honoured})["results"]) == 3
    error = refused(service, "/v1/rerank", **sent, **{field: refusal})
    assert error["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/v1/v1/rerank",
            "/v1//rerank",
            "/",
            "/v1",
            "/v1/",
            "/rerank/rerank",
            "/rerank/v1/rerank",
        ),
        *("/v1/rerank/rerank", "/v1/rerank/v1/rerank", "/v2/v1/rerank", "/v1/v1/reranking"),
    ],
)
def test_a_base_url_that_says_too_much_or_too_little(service: Service, path: str) -> None:
    assert len(post(service, path, query=QUERY, documents=DOCUMENTS)["results"]) == 3


@pytest.mark.parametrize("path", ["/v1/v2/rerank", "/v1/rerank/v2/rerank"])
def test_a_base_url_with_another_version(service: Service, path: str) -> None:
    answer = post(service, path, query=QUERY, documents=DOCUMENTS)

    assert answer["meta"]["api_version"] == {"version": "2"}


def test_a_wrong_base_url_is_told(service: Service) -> None:
    answer = httpx.post(f"{service.url}/api/openai/v1/rerank", json={})

    assert answer.status_code == 404
    assert "/v1/rerank is: take /api/openai out of the base URL" in answer.json()["detail"]
