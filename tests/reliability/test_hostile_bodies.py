"""Bodies that cost little to send cost little to refuse."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from toolkit.running import Service

LARGEST = 32 * 2**20


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
    assert "more than 1,024 documents" in not_looked_at.text


JUNK = [
    ('{"query": "soup", "documents": ["noon"], "x": [%s[]]}', 200),
    ('{"query": "soup", "documents": [%s[]]}', 413),
    ('{"query": [%s[]], "documents": ["noon"]}', 422),
    ('{"query": "soup", "documents": [{"text": "noon", "x": [%s[]]}]}', 200),
    ("[%s[]]", 422),
]


@pytest.mark.parametrize(("body", "status"), JUNK)
def test_junk_is_not_built(service: Service, body: str, status: int) -> None:
    content = (body % ("[]," * 450_000)).encode()
    before = service.front.memory_info().rss

    assert [_post(service, content) for _ in range(3)] == [status] * 3
    assert service.front.memory_info().rss < before + 20e6


@pytest.mark.parametrize("junk", ["[],", '"",'])
def test_largest_junk_holds_nobody_up(service: Service, junk: str) -> None:
    """Four bodies at a time, as large as is legal, against what `json` takes for one."""
    body, count = '{"query": "soup", "documents": ["noon"], "x": [%s""]}', LARGEST // len(junk) - 50
    content = (body % (junk * count)).encode()
    part = (body % (junk * (count // 8))).encode()
    start = time.perf_counter()
    json.loads(part)
    seconds_of_json = 8 * (time.perf_counter() - start)
    resident = service.front.memory_info().rss
    pauses, peak = [0.0], 0

    with ThreadPoolExecutor(4) as clients, httpx.Client(base_url=service.url, timeout=120) as other:
        answers = [clients.submit(_post, service, content) for _ in range(4)]
        while not all(answer.done() for answer in answers):
            start = time.perf_counter()
            assert other.get("/v1/models").status_code == 200
            pauses.append(time.perf_counter() - start)
            peak = max(peak, service.front.memory_info().rss)

    assert [answer.result() for answer in answers] == [413] * 4
    assert max(pauses) < seconds_of_json / 2
    assert peak - resident < 2 * 4 * LARGEST


def _post(service: Service, content: bytes) -> int:
    headers = {"Content-Type": "application/json"}
    url = f"{service.url}/rerank"
    return httpx.post(url, content=content, headers=headers, timeout=120).status_code


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
