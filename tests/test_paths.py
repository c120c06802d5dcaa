"""One path in many forms, and the methods that no route names."""

from __future__ import annotations

import re

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.paths import Paths
from tests.reliability.raw_client import connect
from toolkit.running import Service


async def show_path(scope: Scope, receive: Receive, send: Send) -> None:
    seen = scope["path"].removeprefix(scope["root_path"])
    await PlainTextResponse(f"{scope['method']} {seen}")(scope, receive, send)


async def ask(root_path: str, method: str, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=Paths(show_path, root_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        return await client.request(method, f"http://a{path}", headers={"Host": "a"})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("root_path", "path", "seen"),
    [
        ("", "/rerank", "/rerank"),
        ("", "/rerank/", "/rerank"),
        ("", "//rerank", "/rerank"),
        ("", "///v1//rerank//", "/v1/rerank"),
        # A base URL alone, and some that hold too much.
        ("", "/", "/v1/rerank"),
        ("", "//", "/v1/rerank"),
        ("", "/v1/", "/v1/rerank"),
        ("", "/v1/v1/rerank", "/v1/rerank"),
        ("", "/v1/v2/rerank", "/v2/rerank"),
        ("", "/rerank/v1/rerank", "/v1/rerank"),
        ("", "/v1/rerank/rerank", "/v1/rerank"),
        ("", "/x/rerank", "/x/rerank"),
        # A proxy leaves the root path, or takes it away.
        ("/x", "/x/rerank", "/rerank"),
        ("/x", "/rerank", "/rerank"),
        ("/x", "//x//rerank/", "/rerank"),
        ("/x", "/x/", "/v1/rerank"),
        ("/x", "/xy", "/xy"),
        ("/a/b", "/a/b/v1/rerank", "/v1/rerank"),
        ("/a/b", "/a/rerank", "/a/rerank"),
        # A root path named like a path below it.
        ("/rerank", "/rerank", "/rerank"),
        ("/rerank", "/rerank/rerank", "/rerank"),
        ("/page", "/page/rerank", "/rerank"),
    ],
)
async def test_forms_of_a_path(root_path: str, path: str, seen: str) -> None:
    answer = await ask(root_path, "POST", path)

    assert (answer.status_code, answer.text) == (200, f"POST {seen}")


@pytest.mark.anyio
@pytest.mark.parametrize(("root_path", "path"), [("", "/"), ("", "//"), ("/x", "/x/")])
async def test_the_page_is_at_the_root(root_path: str, path: str) -> None:
    assert (await ask(root_path, "GET", path)).text == "GET /"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/x", "//x"])
async def test_the_root_path_leads_to_the_page_on_the_same_host(path: str) -> None:
    answer = await ask("/x", "GET", path)

    assert answer.is_redirect
    assert answer.headers["Location"] == "/x/"


@pytest.mark.parametrize("path", ["/rerank/", "//rerank", "/v1//rerank/", "/v2/rerank/"])
def test_no_post_is_lost(service: Service, path: str) -> None:
    body = {"query": "soup?", "documents": ["noon"]}
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example"}

    answer = httpx.post(service.url + path, json=body, headers=proxied)

    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/metrics",
        "/v1/models",
        "/info",
        "/docs",
        "/openapi.json",
        "/page/style.css",
    ],
)
def test_head_is_get_without_the_body(service: Service, path: str) -> None:
    get = httpx.get(service.url + path)

    head = httpx.head(service.url + path)

    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    # The figures of metrics have grown in between.
    assert path == "/metrics" or head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize(("path", "status"), [("/rerank", 405), ("/nothing", 404)])
def test_head_of_what_is_not_there(service: Service, path: str, status: int) -> None:
    assert httpx.head(service.url + path).status_code == status


def test_options(service: Service) -> None:
    def methods(path: str) -> tuple[int, set[str]]:
        answer = httpx.options(service.url + path)
        return answer.status_code, set(answer.headers["Allow"].split(", "))

    assert methods("/health") == methods("/docs") == (204, {"GET", "HEAD", "OPTIONS"})
    assert methods("/v1/rerank") == (204, {"POST", "OPTIONS"})
    assert httpx.options(f"{service.url}/nothing").status_code == 404
    assert httpx.delete(f"{service.url}/rerank").headers["Allow"] == "OPTIONS, POST"


def test_options_of_the_server(service: Service) -> None:
    with connect(service) as client:
        client.sendall(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b"")).decode()

    assert re.match(r"HTTP/1.1 20[04] ", answer)
    assert re.search(r"(?im)^allow: GET, HEAD, OPTIONS, POST\r$", answer)
