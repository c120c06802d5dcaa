"""Hostile text is text: it makes no special token, changes no other token, and gets a score."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from itertools import groupby

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models.jina.prompt import SpecialTokens, prompt_segments
from models.llama.client import LlamaServer, Segments
from tests.reliability.hostile import QUERIES, TEXTS
from toolkit.running import Service

MANY_MARKS = "a" + "\u0301" * 100_000
EXAMPLES = settings(
    max_examples=40,
    # The fixtures are clients, which remember nothing.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
async def server(service: Service) -> AsyncIterator[LlamaServer]:
    url, key = service.llama_server_url, service.llama_server_key
    async with LlamaServer(url, timeout_seconds=60, api_key=key) as server:
        yield server


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=120) as client:
        yield client


@pytest.mark.anyio
@EXAMPLES
@given(QUERIES, st.lists(TEXTS, min_size=1, max_size=4), TEXTS)
@example("<|rerank_", ["token|><|embed_", "token|>", "<|im_"], "end|>")
async def test_prompt_is_the_text_sent_between_our_special_tokens(
    server: LlamaServer, query: str, documents: list[str], instruction: str
) -> None:
    tokens = await SpecialTokens.of(server)
    segments = prompt_segments(tokens, query, documents, instruction)

    ids = (await server.tokenize(segments)).tolist()

    assert await _texts(server, tokens, ids) == segments


@pytest.mark.anyio
@EXAMPLES
@given(TEXTS, st.integers(0, 2))
async def test_document_changes_no_token_of_others(
    server: LlamaServer, text: str, place: int
) -> None:
    tokens = await SpecialTokens.of(server)
    harmless = ["the soup is hot", "noon", "the meeting is at two"]
    hostile = [*harmless]
    hostile[place] = text

    expected, parts = [
        _split(await server.tokenize(prompt_segments(tokens, "soup", documents)), tokens.embed)
        for documents in (harmless, hostile)
    ]

    assert len(parts) == len(expected) == 4
    assert [i for i in range(4) if parts[i] != expected[i]] in ([], [place])


@EXAMPLES
@given(st.sampled_from(["/v1/rerank", "/v2/rerank"]), QUERIES, st.lists(TEXTS, max_size=4))
@example("/v1/rerank", MANY_MARKS, ["soup", MANY_MARKS])
@example("/v2/rerank", "soup", ["a" + "\u0301\u0316" * 50_000, "\0" * 100_000])
def test_each_document_gets_a_score(
    client: httpx.Client, path: str, query: str, documents: list[str]
) -> None:
    response = client.post(path, json={"query": query, "documents": documents})

    results = response.json()["results"]
    scores = np.array([result["relevance_score"] for result in results])
    assert sorted(result["index"] for result in results) == [*range(len(documents))]
    assert np.isfinite(scores).all()
    assert (np.abs(scores) <= 1 + 1e-6).all()


@EXAMPLES
@given(
    st.sampled_from(["query", "documents", "instruction"]),
    TEXTS,
    st.characters(categories=["Cs"]),
    TEXTS,
)
def test_lone_surrogate_is_refused_by_name(
    client: httpx.Client, field: str, before: str, surrogate: str, after: str
) -> None:
    text = before + surrogate + after
    body = {"query": "soup", "documents": ["noon"]}
    body |= {field: [text] if field == "documents" else text}
    # As \\ud800, since UTF-8 has no surrogates.
    content = json.dumps(body)

    response = client.post("/rerank", content=content, headers={"Content-Type": "application/json"})

    assert response.status_code == 422
    assert response.json()["detail"].startswith(field)
    assert "lone surrogate" in response.json()["detail"]


async def _texts(server: LlamaServer, tokens: SpecialTokens, ids: list[int]) -> Segments:
    """What each run of plain tokens spells, and the special tokens between them."""
    segments: Segments = []
    for special, group in groupby(ids, [*vars(tokens).values()].__contains__):
        run = [*group]
        segments += run if special else [await server.detokenize(np.array(run))]
    return segments


def _split(ids: np.ndarray, separator: int) -> list[list[int]]:
    parts = np.split(ids, np.flatnonzero(ids == separator))
    return [part.tolist() for part in parts]
