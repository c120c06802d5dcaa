"""A llama-server with a key answers the front and no web page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from toolkit.running import EXACT, Service

KEY = "a secret of the start"
EVIL = {"Origin": "https://evil.example"}


@pytest.fixture(scope="module")
def closed(model: Path, exact_gguf: Path) -> Iterator[Service]:
    keys = {"LLAMA_API_KEY": KEY, "LLAMA_SERVER_API_KEY": KEY}
    with Service(model, RERANKER_GGUF=str(exact_gguf), **keys, **EXACT) as running:
        yield running


def test_front_is_answered(closed: Service, service: Service) -> None:
    body = {"query": "soup", "documents": ["noon", "two"]}
    results = [asked.rerank(**body).json()["results"] for asked in (closed, service)]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/slots", None),
        ("GET", "/props", None),
        ("POST", "/completion", {"prompt": "soup", "n_predict": 1}),
        ("POST", "/completion", {"prompt": "soup", "n_predict": 1, "stream": True}),
        ("POST", "/tokenize", {"content": "soup"}),
        ("POST", "/slots/0?action=erase", {}),
    ],
)
@pytest.mark.parametrize("key", [None, "a secret", f"{KEY}x"])
def test_web_page_is_refused(
    closed: Service, method: str, path: str, body: object, key: str | None
) -> None:
    headers = EVIL if key is None else EVIL | {"Authorization": f"Bearer {key}"}
    # What a form may send without asking the server first.
    content = None if body is None else json.dumps(body)
    answer = httpx.request(method, closed.llama_server_url + path, headers=headers, content=content)

    assert answer.status_code == 401
    assert "soup" not in answer.text


def test_wrong_key_ends_the_start(closed: Service, model: Path, exact_gguf: Path) -> None:
    wrong = closed.as_outside_llama_server | {"LLAMA_SERVER_API_KEY": "another one"}
    second = Service(model, RERANKER_GGUF=str(exact_gguf), **wrong)
    second.launch()

    assert second.process.wait(30) != 0
    assert "set LLAMA_SERVER_API_KEY" in second.output
    assert "another one" not in second.output
    assert KEY not in second.output


def test_key_of_several_lines_is_refused(closed: Service, model: Path, exact_gguf: Path) -> None:
    wrong = closed.as_outside_llama_server | {"LLAMA_SERVER_API_KEY": f"{KEY}\nanother"}
    second = Service(model, RERANKER_GGUF=str(exact_gguf), **wrong)
    second.launch()

    assert second.process.wait(30) != 0
    assert "LLAMA_SERVER_API_KEY is not a key" in second.output
    assert KEY not in second.output


def test_key_in_a_file(model: Path, exact_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# of two fronts\nanother\n\n{KEY}\n")
    variables = {"LLAMA_ARG_API_KEY_FILE": str(path), "LLAMA_SERVER_API_KEY": KEY}
    with Service(model, RERANKER_GGUF=str(exact_gguf), **variables, **EXACT) as running:
        assert running.rerank(query="soup", documents=["noon"]).status_code == 200
        props = f"{running.llama_server_url}/props"
        for key, status in ((KEY, 200), ("another", 200), ("# of two fronts", 401)):
            headers = {"Authorization": f"Bearer {key}"}
            assert httpx.get(props, headers=headers).status_code == status
