"""Answers that no healthy llama-server gives become errors, never scores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.damage import DAMAGE
from tests.reliability.faulty_proxy import FaultyProxy
from tests.reliability.traffic import Load, known_questions
from toolkit.running import EXACT, Service

BODY: dict[str, object] = {
    "query": "a secret query",
    "documents": ["a secret document", "noon " * 50],
    # The second one is cut, which takes llama-server to detokenize it.
    "max_tokens_per_doc": 16,
}
LEGIBLE = re.compile(r"llama-server (failed|is not ready); ")


@pytest.fixture(scope="module")
def proxy(service: Service) -> Iterator[FaultyProxy]:
    with FaultyProxy(service.llama_server_url) as running:
        yield running


@pytest.fixture(scope="module")
def behind_proxy(
    service: Service, model: Path, exact_gguf: Path, proxy: FaultyProxy
) -> Iterator[Service]:
    settings = EXACT | service.as_outside_llama_server | {"LLAMA_SERVER_URL": proxy.url}
    with Service(model, RERANKER_GGUF=str(exact_gguf), **settings) as running:
        yield running


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_answer_is_an_error(
    service: Service, behind_proxy: Service, proxy: FaultyProxy, name: str
) -> None:
    expected = service.rerank(**BODY).json()["results"]
    # No state of this is left from the request before.
    body = BODY | {"query": f"{BODY['query']} {name}"}
    proxy.path, proxy.damage = DAMAGE[name]

    refused = behind_proxy.rerank(**body)

    proxy.path = ""
    assert refused.status_code == 503
    assert LEGIBLE.match(refused.json()["detail"])
    assert refused.json()["message"] == refused.json()["detail"]
    again = behind_proxy.rerank(**BODY).json()["results"]
    assert [result["index"] for result in again] == [result["index"] for result in expected]
    assert [result["relevance_score"] for result in again] == pytest.approx(
        [result["relevance_score"] for result in expected], abs=1e-4
    )


def test_damage_under_load(service: Service, behind_proxy: Service, proxy: FaultyProxy) -> None:
    known = known_questions(service.url, count=20)
    with Load(behind_proxy.url, known, clients=4) as load:
        for path, damage in DAMAGE.values():
            # No question of these is so long that it takes /detokenize.
            if path != "/detokenize":
                proxy.path, proxy.damage = path, damage
                load.wait_for_more("503", 4)
                proxy.path = ""
                load.wait_for_more("right", 8)

    assert load.outcomes.wrong == []
    assert load.outcomes.counts.keys() == {"right", "503"}
    assert behind_proxy.metric("requests_in_flight") == 1  # the one that asks
    assert behind_proxy.metric("prompts_waiting") == 0


def test_log_of_errors_keeps_the_text_out(behind_proxy: Service, proxy: FaultyProxy) -> None:
    for path in ("/tokenize", "/completion", "/detokenize"):
        proxy.path, proxy.damage = path, lambda content: b"{".ljust(len(content))
        behind_proxy.rerank(**BODY | {"query": f"a secret query {path}"})
    proxy.path = ""
    behind_proxy.rerank(**BODY | {"documents": ["a secret document", 3]})

    assert "llama-server answered /tokenize" in behind_proxy.output
    assert "secret" not in behind_proxy.output
    assert "noon" not in behind_proxy.output
