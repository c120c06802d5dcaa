"""Languages, narrow screens, and what the page may load."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.playground.visit import DOCUMENTS, QUERY, Visit, ranked
from toolkit.running import Service, wait_until


def test_korean(browser: Browser, service: Service) -> None:
    page = browser.new_page(locale="ko-KR")
    visit = Visit(page, service.url)
    page.get_by_label("질의").fill(QUERY)
    page.get_by_label("문서").fill("\n".join(DOCUMENTS))
    page.get_by_role("button", name="순위 매기기").click()

    visit.expect_results(ranked(service))
    expect(page.get_by_role("status")).to_contain_text("문서 4개")
    expect(page.locator("html")).to_have_attribute("lang", "ko")

    page.get_by_role("button", name="English").click()

    expect(page.get_by_role("status")).to_contain_text("4 documents")
    expect(page.get_by_label("Query")).to_have_value(QUERY)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    visit.expect_results(ranked(service))
    assert visit.complaints == []
    page.close()


def test_every_word_in_every_language(visit: Visit) -> None:
    names = visit.page.evaluate(
        """async () => {
          const module = await import("/page/words.js");
          const names = (words) => Object.entries(words).flatMap(([name, word]) =>
            [name, ...(word?.constructor === Object ? names(word) : [])]);
          return ["en", "ko"].map((language) => (module.speak(language), names(module.words)));
        }"""
    )

    english, korean = map(sorted, names)
    assert english == korean
    assert set(re.findall(r'data-words="(\w+)"', visit.page.content())) <= set(english)


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_narrow_screen(browser: Browser, service: Service, tmp_path: Path, locale: str) -> None:
    page = browser.new_page(locale=locale, viewport={"width": 320, "height": 600})
    page.goto(service.url)
    path = tmp_path / f"{'long' * 20}.txt"
    path.write_text("x" * 300)

    def overflows() -> bool:
        width = page.evaluate("document.documentElement.scrollWidth")
        return bool(width > 320)

    assert not overflows()
    page.locator("#query").fill(QUERY)
    page.locator("#documents").fill("x" * 300)
    page.locator("#picker").set_input_files(path)
    page.keyboard.press("Control+Enter")
    expect(page.locator("ol .text")).to_have_count(2)
    assert not overflows()
    # Below the form, but in sight.
    expect(page.get_by_role("status")).to_be_in_viewport()
    page.close()


def test_headers(service: Service) -> None:
    names = re.findall(r'(?:src|href)="(page/[^"]+)"', httpx.get(service.url).text)
    assert len(set(names)) == 3

    for path in ["", *names]:
        first = httpx.get(f"{service.url}/{path}").raise_for_status()
        again = httpx.get(first.url, headers={"If-None-Match": first.headers["ETag"]})
        old = httpx.get(first.url, headers={"If-None-Match": '"of another version"'})

        assert [again.status_code, old.status_code] == [304, 200]
        for answer in (first, again, old):
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-cache"


def test_injected_script_is_blocked(visit: Visit) -> None:
    visit.page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'broken'";
          document.body.append(script);
        }"""
    )

    assert visit.page.title() == "jina-reranker"
    (complaint,) = visit.complaints
    assert "Content Security Policy" in complaint
    visit.complaints.clear()


@pytest.mark.parametrize("name", ["nothing.js", "..%2fmain.py", "%2e%2e%2fmain.py", "%00"])
def test_no_other_file(service: Service, name: str) -> None:
    assert httpx.get(f"{service.url}/page/{name}").status_code == 404


def test_a_visit_is_one_log_line(service: Service) -> None:
    headers = {"X-Request-ID": "visit-1"}
    for path in ("/page/script.js", "/page/style.css", "/"):
        httpx.get(service.url + path, headers=headers).raise_for_status()

    wait_until(lambda: '"visit-1"' in service.output)
    (line,) = [line for line in service.output.splitlines() if '"visit-1"' in line]
    assert json.loads(line)["path"] == "/"
    metrics = httpx.get(f"{service.url}/metrics").text
    assert 'reranker_requests_total{route="/page/{name}",status="200"}' in metrics
    assert "script.js" not in metrics
