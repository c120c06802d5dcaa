"""Answers that no healthy llama-server gives become errors, never scores."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.faulty_proxy import Damage, FaultyProxy
from tests.running import EXACT, Service

BODY: dict[str, object] = {
    "query": "a secret query",
    "documents": ["a secret document", "noon " * 50],
    # The second one is cut, which takes llama-server to detokenize it.
    "max_tokens_per_doc": 16,
}
LEGIBLE = re.compile(r"llama-server (failed|is not ready); ")


def _changed(change: Callable[[Any], Any]) -> Damage:
    """Damage to parsed JSON; what became shorter is filled up with spaces."""

    def damage(content: bytes) -> bytes:
        return json.dumps(change(json.loads(content))).encode().ljust(len(content))

    return damage


def _probabilities(change: Callable[[list[Any]], Any]) -> Damage:
    def damaged(answer: Any) -> Any:
        position = answer["completion_probabilities"][0]
        position["top_logprobs"] = change(position["top_logprobs"])
        return answer

    return _changed(damaged)


def _not_a_number(tokens: list[Any]) -> list[Any]:
    tokens[1]["logprob"] = float("nan")
    return tokens


def _null(tokens: list[Any]) -> list[Any]:
    tokens[1]["logprob"] = None
    return tokens


def _same_token(tokens: list[Any]) -> list[Any]:
    return [tokens[0], *tokens[:-1]]


DAMAGE: dict[str, tuple[str, Damage]] = {
    "garbage": ("/completion", lambda content: b"\x00\xff" * (len(content) // 2)),
    "truncated": ("/completion", lambda content: content[: len(content) // 2]),
    "nothing": ("/completion", lambda content: b""),
    "another object": ("/completion", _changed(lambda answer: {"content": "a"})),
    "a list": ("/completion", _changed(lambda answer: [1, 2])),
    "too few": ("/completion", _probabilities(lambda tokens: tokens[:-1])),
    "too many": ("/completion", _probabilities(lambda tokens: [*tokens, tokens[-1]])),
    "NaN": ("/completion", _probabilities(_not_a_number)),
    "null": ("/completion", _probabilities(_null)),
    "twice the same": ("/completion", _probabilities(_same_token)),
    "garbage for tokens": ("/tokenize", lambda content: b"<html>".ljust(len(content))),
    "too few tokens": ("/tokenize", _changed(lambda answer: {"tokens": answer["tokens"][:9]})),
    "huge token": ("/tokenize", _changed(lambda answer: {"tokens": [10**30, *answer["tokens"]]})),
    "no text": ("/detokenize", _changed(lambda answer: {})),
}


@pytest.fixture(scope="module")
def proxy(service: Service) -> Iterator[FaultyProxy]:
    with FaultyProxy(service.llama_server_url) as running:
        yield running


@pytest.fixture(scope="module")
def behind_proxy(model: Path, exact_gguf: Path, proxy: FaultyProxy) -> Iterator[Service]:
    with Service(
        model, RERANKER_GGUF=str(exact_gguf), LLAMA_SERVER_URL=proxy.url, **EXACT
    ) as running:
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


def test_log_of_errors_keeps_the_text_out(behind_proxy: Service, proxy: FaultyProxy) -> None:
    for path in ("/tokenize", "/completion", "/detokenize"):
        proxy.path, proxy.damage = path, lambda content: b"{".ljust(len(content))
        behind_proxy.rerank(**BODY | {"query": f"a secret query {path}"})
    proxy.path = ""
    behind_proxy.rerank(**BODY | {"documents": ["a secret document", 3]})

    assert "llama-server answered /tokenize" in behind_proxy.output
    assert "secret" not in behind_proxy.output
    assert "noon" not in behind_proxy.output
