"""Bodies that cost little to send cost little to refuse."""

from __future__ import annotations

import httpx
import pytest

from tests.running import Service


@pytest.mark.parametrize(
    ("path", "field"),
    [("/rerank", "documents"), ("/rerank", "texts"), ("/v2/rerank", "documents")],
)
def test_many_wrong_documents_are_one_error(service: Service, path: str, field: str) -> None:
    wrong = {"query": "soup", field: [1] * 1000}
    far_too_many = {"query": "soup", field: [1] * 500_000}

    refused = httpx.post(service.url + path, json=wrong)
    not_looked_at = httpx.post(service.url + path, json=far_too_many, timeout=120)

    assert refused.status_code == 422
    assert f"{field}[0]: " in refused.text
    assert len(refused.text) < 1000
    assert not_looked_at.status_code == 413
    assert "500,000 documents" in not_looked_at.text


def test_repeated_rank_field_is_joined_once(service: Service) -> None:
    documents = [{"title": "noon", "text": "soup"}]

    once = service.rerank(query="soup", documents=documents, rank_fields=["title", "text"])
    repeated = service.rerank(
        query="soup", documents=documents, rank_fields=["title", "text", "title"]
    )

    assert repeated.json()["usage"] == once.json()["usage"]


def test_too_many_rank_fields(service: Service) -> None:
    names = [f"field {i}" for i in range(17)]

    response = service.rerank(query="soup", documents=[{"text": "noon"}], rank_fields=names)

    assert response.status_code == 422
    assert response.json()["detail"].startswith("rank_fields: ")


def test_refused_requests_leave_nothing_in_memory(service: Service) -> None:
    def refuse(count: int) -> None:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            for _ in range(count):
                assert client.post("/rerank", json={"query": "soup"}).status_code == 422

    refuse(200)
    before = service.front.memory_info().rss
    refuse(2000)

    assert service.front.memory_info().rss < before + 4e6
