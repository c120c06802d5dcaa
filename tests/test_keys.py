"""API keys and CORS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cohere
import httpx
import pytest

from toolkit.running import EXACT, Service, wait_until

ORIGIN = {"Origin": "https://app.example"}


@pytest.fixture(scope="module")
def locked(model: Path, exact_gguf: Path) -> Iterator[Service]:
    settings = {"RERANKER_API_KEY": "first, zweiter-schlüssel", **EXACT}
    settings["RERANKER_CORS_ORIGINS"] = ORIGIN["Origin"]
    with Service(model, RERANKER_GGUF=str(exact_gguf), **settings) as running:
        yield running


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer wrong", "Bearer", "first", "Basic first", "Bearer first, zweiter"],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/rerank"),
        ("POST", "/v2/rerank"),
        ("GET", "/metrics"),
        ("HEAD", "/metrics"),
        ("OPTIONS", "/rerank"),
        ("GET", "//metrics"),
        ("GET", "/page/../metrics"),
        ("GET", "/v1/models"),
        ("GET", "/info"),
        ("GET", "/nothing"),
    ],
)
def test_refused(locked: Service, authorization: str | None, method: str, path: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}

    answer = httpx.request(method, locked.url + path, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    if method == "HEAD":
        return
    assert "Authorization: Bearer" in answer.json()["detail"]
    assert answer.json()["message"] == answer.json()["error"] == answer.json()["detail"]


@pytest.mark.parametrize("path", ["/health", "/health/", "/", "/docs", "/openapi.json"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_needs_no_key(locked: Service, method: str, path: str) -> None:
    assert httpx.request(method, locked.url + path).status_code == 200


@pytest.mark.parametrize("key", ["first", "zweiter-schlüssel"])
def test_any_key_opens(locked: Service, key: str) -> None:
    headers = {b"Authorization": b"bearer " + key.encode()}
    body = {"query": "soup?", "documents": ["noon"]}

    answer = httpx.post(f"{locked.url}/rerank", json=body, headers=headers)

    assert answer.status_code == 200


@pytest.mark.parametrize("header", ["Api-Key", "api-key", "X-API-Key"])
def test_headers_that_hold_a_key_alone(locked: Service, header: str) -> None:
    def status(**more: str) -> int:
        headers = {header: more.pop("key"), **more}
        body = {"query": "soup?", "documents": ["noon"]}
        return httpx.post(f"{locked.url}/rerank", json=body, headers=headers).status_code

    assert status(key="first") == 200
    assert status(key="first", Authorization="Basic of-a-proxy") == 200
    assert status(key="wrong") == status(key="") == status(key="Bearer first") == 401


def test_a_base_url_is_no_way_around_the_key(locked: Service) -> None:
    for path in ("/", "/v1", "/v1/v1/rerank"):
        assert httpx.post(locked.url + path, json={}).status_code == 401


def test_official_client_sends_its_key(locked: Service) -> None:
    right, wrong = (cohere.ClientV2(key, base_url=locked.url) for key in ("first", "wrong"))

    assert right.rerank(model="any", query="soup?", documents=["noon"]).results[0].index == 0
    with pytest.raises(cohere.UnauthorizedError):
        wrong.rerank(model="any", query="soup?", documents=["noon"])


def test_keys_share_no_states(locked: Service) -> None:
    body = {"query": "what do keys share?", "documents": ["noon", "two " * 50]}
    forms = (b"first", "zweiter-schlüssel".encode(), "zweiter-schlüssel".encode("latin-1"))
    for i, key in enumerate([forms[0], forms[0], forms[1], forms[2], forms[0]]):
        headers = {b"Authorization": b"Bearer " + key, b"X-Request-ID": b"shared-%d" % i}
        httpx.post(f"{locked.url}/rerank", json=body, headers=headers).raise_for_status()

    def lines() -> list[dict[str, Any]]:
        logged = [line for line in locked.output.splitlines() if '"shared-' in line]
        return [json.loads(line) for line in logged]

    wait_until(lambda: len(lines()) == 5)
    reused = [line["reused_tokens"] for line in lines()]
    tokens = lines()[0]["tokens"]
    assert reused[1:] == [tokens, 0, tokens, 0]


def test_keys_are_in_no_log(locked: Service) -> None:
    for key in ("zweiter-schlüssel", "mistyped-key"):
        headers = {b"Authorization": f"Bearer {key}".encode(), b"X-Request-ID": b"tried"}
        httpx.post(f"{locked.url}/rerank", headers=headers)

    wait_until(lambda: locked.output.count('"tried"') == 2)
    assert "zweiter" not in locked.output
    assert "mistyped" not in locked.output


def test_cors_as_configured(locked: Service, service: Service) -> None:
    preflight = ORIGIN | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }

    allowed = httpx.options(f"{locked.url}/rerank", headers=preflight)
    other = httpx.options(
        f"{locked.url}/rerank", headers=preflight | {"Origin": "https://evil.example"}
    )
    off = httpx.options(f"{service.url}/rerank", headers=preflight)

    assert allowed.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    assert "Access-Control-Allow-Origin" not in other.headers
    assert "Access-Control-Allow-Origin" not in off.headers
