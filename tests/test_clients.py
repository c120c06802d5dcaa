"""The official clients, against the running service."""

from __future__ import annotations

from typing import Any

import cohere
import pinecone
import pytest
import voyageai.client
import voyageai.error
import zeroentropy
from huggingface_hub import get_session
from langchain_community.document_compressors import jina_rerank
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.jinaai_rerank import JinaRerank
from mixedbread import Mixedbread, UnprocessableEntityError

from toolkit.running import Service

QUERY = "내일 회의 일정"
DOCUMENTS = ["오늘 점심은 김치찌개를 먹었다", "내일 오후 2시에 품질 미팅이 있습니다", "soup"]


@pytest.fixture(scope="module")
def expected(service: Service) -> list[tuple[int, Any]]:
    """(index, score), best first."""
    results = service.rerank(query=QUERY, documents=DOCUMENTS).json()["results"]
    return [(result["index"], pytest.approx(result["relevance_score"])) for result in results]


@pytest.fixture(scope="module")
def units(expected: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """The same, with scores from 0 to 1."""
    return [(index, pytest.approx((1 + score.expected) / 2)) for index, score in expected]


def test_cohere_v1(service: Service, expected: list[tuple[int, Any]]) -> None:
    client = cohere.Client("key", base_url=service.url)

    answer = client.rerank(
        model="jina-reranker-v3", query=QUERY, documents=DOCUMENTS, return_documents=True
    )

    assert [(r.index, r.relevance_score) for r in answer.results] == expected
    for result in answer.results:
        assert result.document
        assert result.document.text == DOCUMENTS[result.index]
    assert answer.id
    assert answer.meta
    assert answer.meta.api_version
    assert answer.meta.billed_units
    assert answer.meta.api_version.version == "1"
    assert answer.meta.billed_units.search_units == 1


def test_cohere_v1_rank_fields(service: Service) -> None:
    client = cohere.Client("key", base_url=service.url)
    documents = [{"title": "noon", "body": text, "id": "7"} for text in DOCUMENTS]
    joined = [f"noon\n{text}" for text in DOCUMENTS]

    answer = client.rerank(query=QUERY, documents=documents, rank_fields=["title", "body"], top_n=2)

    plain = client.rerank(query=QUERY, documents=joined, top_n=2)
    assert [r.index for r in answer.results] == [r.index for r in plain.results]
    scores = [r.relevance_score for r in answer.results]
    assert scores == pytest.approx([r.relevance_score for r in plain.results])
    assert len(answer.results) == 2


def test_cohere_v2(service: Service, expected: list[tuple[int, Any]]) -> None:
    client = cohere.ClientV2("key", base_url=service.url)

    answer = client.rerank(model="jina-reranker-v3", query=QUERY, documents=DOCUMENTS, top_n=2)

    assert [(r.index, r.relevance_score) for r in answer.results] == expected[:2]
    assert answer.id
    assert answer.meta
    assert answer.meta.api_version
    assert answer.meta.billed_units
    assert answer.meta.api_version.version == "2"


def test_cohere_v2_max_tokens_per_doc(service: Service) -> None:
    client = cohere.ClientV2("key", base_url=service.url)
    long = ["noon " * 300, "soup " * 300]

    cut = client.rerank(model="any", query="soup", documents=long, max_tokens_per_doc=8)

    uncut = client.rerank(model="any", query="soup", documents=long)
    assert [r.relevance_score for r in cut.results] != [r.relevance_score for r in uncut.results]


@pytest.mark.parametrize("kind", [cohere.Client, cohere.ClientV2])
def test_cohere_error(service: Service, kind: type[cohere.Client]) -> None:
    client = kind("key", base_url=service.url)

    with pytest.raises(cohere.UnprocessableEntityError) as raised:
        client.rerank(model="any", query="", documents=DOCUMENTS)

    assert raised.value.body["message"] == "query: must not be empty"


def test_langchain(
    service: Service, expected: list[tuple[int, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jina_rerank, "JINA_API_URL", f"{service.url}/v1/rerank")
    compressor = jina_rerank.JinaRerank(jina_api_key="key", top_n=2)
    documents = [Document(text, metadata={"i": i}) for i, text in enumerate(DOCUMENTS)]

    ranked = compressor.compress_documents(documents, QUERY)

    assert [(d.metadata["i"], d.metadata["relevance_score"]) for d in ranked] == expected[:2]
    with pytest.raises(RuntimeError, match="query: must not be empty"):
        compressor.compress_documents(documents, " ")


def test_llama_index(service: Service, expected: list[tuple[int, Any]]) -> None:
    postprocessor = JinaRerank(top_n=2, base_url=f"{service.url}/v1", api_key="key")
    nodes = [
        NodeWithScore(node=TextNode(text=text, id_=str(i))) for i, text in enumerate(DOCUMENTS)
    ]

    ranked = postprocessor.postprocess_nodes(nodes, query_str=QUERY)

    assert [(int(node.node.id_), node.score) for node in ranked] == expected[:2]


@pytest.mark.parametrize("base", ["", "/v1"])
def test_voyage(service: Service, expected: list[tuple[int, Any]], base: str) -> None:
    client = voyageai.client.Client("key", base_url=service.url + base)

    answer = client.rerank(QUERY, DOCUMENTS, model="rerank-2", top_k=2)

    assert [(r.index, r.relevance_score) for r in answer.results] == expected[:2]
    assert [r.document for r in answer.results] == [DOCUMENTS[index] for index, _ in expected[:2]]
    assert answer.total_tokens > 250
    with pytest.raises(voyageai.error.VoyageError, match="document 1 is longer"):
        client.rerank(QUERY, ["soup", "noon " * 3000], model="rerank-2", truncation=False)


@pytest.mark.parametrize("base", ["", "/v1"])
def test_mixedbread(service: Service, expected: list[tuple[int, Any]], base: str) -> None:
    client = Mixedbread(api_key="key", base_url=service.url + base, max_retries=0)

    answer = client.rerank(query=QUERY, input=DOCUMENTS, top_k=2, return_input=True)

    assert [(r.index, r.score) for r in answer.data] == expected[:2]
    assert [r.input for r in answer.data] == [DOCUMENTS[index] for index, _ in expected[:2]]
    assert answer.model == "tiny"
    with pytest.raises(UnprocessableEntityError, match="query: must not be empty"):
        client.rerank(query="", input=DOCUMENTS)


@pytest.mark.parametrize("base", ["", "/v1"])
def test_zeroentropy(service: Service, units: list[tuple[int, Any]], base: str) -> None:
    client = zeroentropy.ZeroEntropy(api_key="key", base_url=service.url + base, max_retries=0)

    answer = client.models.rerank(query=QUERY, documents=DOCUMENTS, model="zerank-2", top_n=2)

    assert [(r.index, r.relevance_score) for r in answer.results] == units[:2]
    assert answer.total_tokens > 250
    with pytest.raises(zeroentropy.UnprocessableEntityError, match="query: must not be empty"):
        client.models.rerank(query="", documents=DOCUMENTS, model="zerank-2")


@pytest.mark.parametrize("base", ["", "/v1"])
def test_pinecone(service: Service, units: list[tuple[int, Any]], base: str) -> None:
    client = pinecone.Pinecone("key", host=service.url + base)

    answer = client.inference.rerank("any", QUERY, DOCUMENTS, top_n=2)

    assert [(r.index, r.score) for r in answer.data] == units[:2]
    texts = [r.document["text"] for r in answer.data if r.document]
    assert texts == [DOCUMENTS[index] for index, _ in units[:2]]
    assert answer.usage.rerank_units == 1
    with pytest.raises(pinecone.PineconeApiException, match=r"documents\[0\]: must be a string"):
        client.inference.rerank("any", QUERY, [{"title": "noon"}])


def test_text_embeddings_inference(service: Service, units: list[tuple[int, Any]]) -> None:
    session = get_session()
    body = {"query": QUERY, "texts": DOCUMENTS, "raw_scores": False, "truncate": True}

    ranked = session.post(f"{service.url}/rerank", json=body | {"return_text": True}).json()

    assert [(rank["index"], rank["score"]) for rank in ranked] == units
    assert [rank["text"] for rank in ranked] == [DOCUMENTS[index] for index, _ in units]
    info = session.get(f"{service.url}/info").json()
    assert info["model_id"] == "tiny"
    assert "reranker" in info["model_type"]
    assert info["max_client_batch_size"] >= 1024
    assert info["auto_truncate"] is True
    refused = session.post(f"{service.url}/rerank", json=body | {"query": ""})
    assert refused.status_code == 422
    assert refused.json() == {
        "error": "query: must not be empty",
        "error_type": "Validation",
    }
