"""The page that describes the API, where a key is needed and a proxy shows it below a path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.playground.visit import DOCUMENTS, Visit
from tests.reverse_proxy import nginx
from toolkit.browser import FOREIGN_HOST
from toolkit.running import EXACT, Service, wait_until

KEY = "sesame"
ROOT = "/search/ranker"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}

RERANK = {
    *("/rerank", "/reranking", "/v1/rerank", "/v1/reranking", "/v2/rerank"),
    *("/v1/ranking", "/ranking", "/v1/models/rerank", "/models/rerank", "/score", "/v1/score"),
}
STATUS = {
    *("/info", "/v1/info", "/health", "/v1/models", "/v1/models/{name}", "/metrics", "/meta"),
    *("/.well-known/live", "/.well-known/ready"),
}
OPERATIONS = RERANK | STATUS


@pytest.fixture(scope="module")
def locked(model: Path, exact_gguf: Path) -> Iterator[Service]:
    settings = {"RERANKER_API_KEY": KEY, "RERANKER_ROOT_PATH": ROOT, **EXACT}
    settings["RERANKER_SCORES"] = "unit"
    with Service(model, RERANKER_GGUF=str(exact_gguf), **settings) as running:
        yield running


@pytest.fixture
def docs(browser: Browser, locked: Service) -> Iterator[Page]:
    """The page, of a host that browsers trust less; it loads nothing from elsewhere."""
    host = f"http://{FOREIGN_HOST}:{locked.port}"
    page = browser.new_page()
    visit = Visit(page, f"{host}{ROOT}/docs")
    yield page
    page.close()
    assert visit.complaints == []
    assert len(visit.requests) > 5
    assert all(url.startswith(f"{host}{ROOT}/") for url in visit.requests)


def authorize(page: Page, key: str) -> None:
    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("auth-bearer-value").fill(key)
    page.get_by_role("button", name="Apply credentials").first.click()
    page.get_by_role("button", name="Close").first.click()


def execute(page: Page, operation: str) -> str:
    """Open an operation and try it out; the answer's status."""
    block = page.locator(f"#operations-{operation}")
    block.get_by_role("button").first.click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    return str(block.locator(".live-responses-table .response-col_status").last.text_content())


def test_shows_what_is_served_and_tries_it_out_with_the_key(docs: Page) -> None:
    expect(docs.locator(".opblock")).to_have_count(len(OPERATIONS))
    authorize(docs, KEY)

    assert execute(docs, "rerank-rerank").startswith("200")
    assert execute(docs, "status-v1_models").startswith("200")

    described = docs.locator(".models article").filter(has_text="ModelList")
    described.get_by_role("button", name="Expand all").first.click()
    expect(described.get_by_role("strong").filter(has_text="owned_by")).to_be_visible()


def test_tells_that_the_key_is_wrong(browser: Browser, locked: Service) -> None:
    page = browser.new_page()
    page.goto(f"{locked.url}/docs")
    authorize(page, "wrong")

    assert execute(page, "status-v1_models").startswith("401")
    page.close()


def test_same_policy_as_the_page(service: Service) -> None:
    pages = [httpx.get(service.url + path) for path in ("/", "/docs", "/page/docs.js")]

    policies = {page.headers["Content-Security-Policy"] for page in pages}
    assert len(policies) == 1
    assert "unsafe" not in policies.pop()


def test_description_names_the_key_where_one_is_set(service: Service, locked: Service) -> None:
    described = httpx.get(f"{locked.url}/openapi.json").json()
    assert described["paths"].keys() == OPERATIONS
    without = httpx.get(f"{service.url}/openapi.json").json()

    schemes = described["components"]["securitySchemes"]
    assert schemes["key"]["scheme"] == "bearer"
    assert {schemes[name]["name"] for name in schemes if name != "key"} == {"Api-Key", "X-API-Key"}
    assert described["security"] == [{name: []} for name in schemes]
    assert described["paths"]["/health"]["get"]["security"] == []
    assert described["servers"] == [{"url": ROOT}]
    assert "securitySchemes" not in without["components"]
    assert not {"security", "servers"} & without.keys()


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect", "/page/main.py"])
def test_nothing_else_is_open(locked: Service, path: str) -> None:
    assert httpx.get(locked.url + path).status_code in (401, 404)
    assert httpx.get(locked.url + path, headers=AUTHORIZED).status_code == 404


@pytest.mark.parametrize("target_path", ["/", f"{ROOT}/"], ids=["taken away", "left"])
def test_behind_a_proxy(
    browser: Browser, locked: Service, tmp_path: Path, target_path: str
) -> None:
    with nginx(tmp_path, ROOT, locked.url + target_path) as proxy:
        shown = f"{proxy}{ROOT}"
        visit = Visit(browser.new_page(), shown)
        visit.fill()
        visit.rank()
        visit.page.get_by_label("API key").fill(KEY)
        visit.rank()
        expect(visit.page.locator("ol .text")).to_have_count(len(DOCUMENTS))
        expect(visit.page.locator(".axis span")).to_have_text(["0", "0.5", "1"])
        expect(visit.page.locator(".scale")).to_contain_text("between 0 and 1")
        visit.page.get_by_role("link", name="Description of the API").click()
        authorize(visit.page, KEY)
        assert execute(visit.page, "rerank-rerank").startswith("200")
        visit.page.close()
        # The first one asked for a key.
        assert [line for line in visit.complaints if "401" not in line] == []
        assert all(url.startswith(f"{shown}/") for url in visit.requests[1:])

        body = {"query": "soup?", "documents": ["noon"]}
        (served,) = httpx.get(f"{shown}/v1/models", headers=AUTHORIZED).json()["data"]
        assert (served["score"], served["score_range"]) == ("unit", [0, 1])
        for path in ("/rerank", "//rerank", "/rerank/", "/v1/rerank"):
            posted = httpx.post(shown + path, json=body, headers=AUTHORIZED)
            assert (posted.status_code, len(posted.json()["results"])) == (200, 1)
        client = {"X-Request-ID": f"forwarded-{len(target_path)}", "X-Forwarded-For": "203.0.113.7"}
        httpx.get(f"{shown}/v1/models", headers=AUTHORIZED | client).raise_for_status()

    wait_until(lambda: client["X-Request-ID"] in locked.output)
    (line,) = [line for line in locked.output.splitlines() if client["X-Request-ID"] in line]
    assert json.loads(line)["client"] == "203.0.113.7"


def test_only_proxies_of_the_setting_are_believed(model: Path, exact_gguf: Path) -> None:
    settings = {"RERANKER_FORWARDED_ALLOW_IPS": "192.0.2.0/24", **EXACT}
    with Service(model, RERANKER_GGUF=str(exact_gguf), **settings) as service:
        httpx.get(f"{service.url}/info", headers={"X-Forwarded-For": "203.0.113.7"})
        wait_until(lambda: '"/info"' in service.output)

    (line,) = [line for line in service.output.splitlines() if '"/info"' in line]
    assert json.loads(line)["client"] == "127.0.0.1"
