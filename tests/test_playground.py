"""The page, in a real browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, FloatRect, Page, expect

from tests.browser import FOREIGN_HOST, open_browser
from tests.running import EXACT, START_UP_SECONDS, Service, wait_until

QUERY = "when is the meeting?"
DOCUMENTS = ["soup is served at noon", "the meeting starts at two", "nothing", "내일 오후 2시"]
MARKUP = [
    "<img src=x onerror=\"document.title='broken'\">",
    "<script>document.title='broken'</script>",
    "<b>bold</b> &amp; 'quoted' \\ $HOME `id` !!",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=1000 * START_UP_SECONDS)
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def english(browser: Browser) -> BrowserContext:
    """Where English is spoken and pages may copy."""
    return browser.new_context(locale="en-US", permissions=["clipboard-read", "clipboard-write"])


class Visit:
    """A page that is open, and what the browser complained about and asked for meanwhile."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(url)

    def fill(self, query: str = QUERY, documents: list[str] = DOCUMENTS) -> None:
        self.page.get_by_label("Query").fill(query)
        self.page.get_by_label("Documents").fill("\n".join(documents))

    def rank(self) -> None:
        self.page.get_by_role("button", name="Rank").click()

    def copied_command(self) -> str:
        self.page.get_by_role("button", name="Copy as curl").click()
        expect(self.page.get_by_role("button", name="Copied")).to_be_visible()
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    @property
    def results(self) -> list[str]:
        """The texts shown, best first."""
        return self.page.locator("ol .text").all_text_contents()

    def expect_results(self, texts: list[str]) -> None:
        expect(self.page.locator("ol .text")).to_have_text(texts)

    def expect_failure(self, title: str, detail: str) -> None:
        alert = self.page.get_by_role("alert")
        expect(alert.get_by_role("heading")).to_have_text(title)
        expect(alert.last).to_contain_text(detail)


@pytest.fixture
def visit(english: BrowserContext, service: Service) -> Iterator[Visit]:
    """A visit that ends well: nothing complained, nobody else was asked."""
    page = english.new_page()
    visit = Visit(page, service.url)
    yield visit
    page.close()
    assert visit.complaints == []
    assert all(url.startswith(f"{service.url}/") for url in visit.requests)


def ranked(service: Service, documents: list[str] = DOCUMENTS, **more: object) -> list[str]:
    """The texts as a plain request gets them, best first."""
    answer = service.rerank(query=QUERY, documents=documents, **more).raise_for_status().json()
    return [documents[result["index"]] for result in answer["results"]]


def test_ranking(visit: Visit, service: Service) -> None:
    answer = service.rerank(query=QUERY, documents=DOCUMENTS).json()

    visit.fill()
    visit.rank()

    visit.expect_results([DOCUMENTS[result["index"]] for result in answer["results"]])
    items = visit.page.get_by_role("region", name="Results").get_by_role("listitem")
    track = items.first.locator(".track").bounding_box()
    assert track
    for place, result in enumerate(answer["results"]):
        item, score = items.nth(place), result["relevance_score"]
        expect(item).to_contain_text(f"document {result['index'] + 1}")
        expect(item).to_contain_text(f"score {score:.4f}".replace("-", "−"))
        up = result["index"] - place
        moved = f"up {up}" if up > 0 else f"down {-up}" if up < 0 else "same place"
        expect(item.locator(".movement")).to_have_text(moved)
        bar = item.locator(".bar").bounding_box()
        assert bar
        # The track reaches from −1 to 1, the bar from 0 to the score.
        ends = [(end - track["x"]) / track["width"] * 2 - 1 for end in _ends(bar)]
        assert ends == pytest.approx(sorted([0, score]), abs=0.01)
    status = visit.page.get_by_role("status")
    expect(status).to_have_text(re.compile(r"4 documents · .+ m?s(ec)? · [\d,]+ tokens"))
    expect(status).to_contain_text(f"{answer['usage']['prompt_tokens']:,} tokens")


def _ends(box: FloatRect) -> tuple[float, float]:
    return box["x"], box["x"] + box["width"]


def test_top_n_and_instruction(visit: Visit, service: Service) -> None:
    visit.fill()
    visit.page.get_by_label("top_n").fill("2")
    visit.page.get_by_label("Instruction").fill("prefer soup")
    visit.rank()

    visit.expect_results(ranked(service, top_n=2, instruction="prefer soup"))
    expect(visit.page.get_by_role("status")).to_contain_text("Best 2 of 4 documents")


def test_keyboard_alone(visit: Visit, service: Service) -> None:
    keyboard = visit.page.keyboard

    def tab_to(label: str) -> None:
        focused = visit.page.get_by_label(label).and_(visit.page.locator(":focus"))
        for _ in range(20):
            if focused.count():
                return
            keyboard.press("Tab")
        pytest.fail(f"Tab does not reach {label}")

    tab_to("Query")
    keyboard.type(QUERY)
    keyboard.press("Enter")
    expect(visit.page.get_by_text("Type at least one document")).to_be_visible()
    expect(visit.page.get_by_label("Documents")).to_be_focused()
    for document in DOCUMENTS[:3]:
        keyboard.type(document)
        keyboard.press("Enter")
    tab_to("Add files")
    tab_to("top_n")
    keyboard.press("Control+Enter")

    visit.expect_results(ranked(service, DOCUMENTS[:3]))


@pytest.mark.parametrize(
    ("query", "documents", "top_n", "wrong", "sentence"),
    [
        ("", DOCUMENTS, "", "Query", "Type a query"),
        (" ", DOCUMENTS, "", "Query", "Type a query"),
        (QUERY, [" ", ""], "", "Documents", "Type at least one document"),
        (QUERY, DOCUMENTS, "0", "top_n", "A whole number from 1"),
        (QUERY, DOCUMENTS, "1.5", "top_n", "A whole number from 1"),
    ],
)
def test_incomplete(
    visit: Visit, query: str, documents: list[str], top_n: str, wrong: str, sentence: str
) -> None:
    visit.fill(query, documents)
    visit.page.get_by_label("top_n").fill(top_n)
    visit.rank()

    field = visit.page.get_by_label(wrong)
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile(sentence))
    assert not any(url.endswith("/rerank") for url in visit.requests)


def test_example(visit: Visit) -> None:
    visit.page.get_by_role("button", name="example").click()

    expect(visit.page.locator("ol .text")).to_have_count(6)
    shown = visit.page.get_by_label("Documents").input_value().split("\n")
    assert sorted(visit.results) == sorted(shown)


def test_markup_is_text(visit: Visit, service: Service) -> None:
    visit.fill(documents=MARKUP)
    visit.rank()

    visit.expect_results(ranked(service, MARKUP))
    assert visit.page.title() == "jina-reranker"
    assert visit.page.locator("ol img, ol script, ol b").count() == 0


def test_dropped_file(visit: Visit, service: Service, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    documents = ["two\nlines", "noon soup", "<i>"]
    lines = [documents[0], {"text": documents[1], "id": 1}, documents[2]]
    path.write_text("\n\n".join(json.dumps(line) for line in lines) + "\n")
    visit.fill(documents=["typed"])

    drop(visit.page, path)

    expect(visit.page.get_by_role("listitem")).to_contain_text(["notes.jsonl"])
    expect(visit.page.get_by_role("listitem")).to_contain_text(["3 documents"])
    visit.rank()
    expect(visit.page.locator("ol .text")).to_have_count(4)
    # As it stands, where locators would join lines.
    assert visit.results == ranked(service, ["typed", *documents])
    visit.page.get_by_role("button", name="Remove notes.jsonl").click()
    visit.rank()
    visit.expect_results(["typed"])


def drop(page: Page, path: Path) -> None:
    """Let the browser see a file dragged from the desktop onto the page."""
    devtools = page.context.new_cdp_session(page)
    files = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 40, "y": 40, "data": files}
        devtools.send("Input.dispatchDragEvent", event)


def test_dropped_folder(visit: Visit, tmp_path: Path) -> None:
    folder = tmp_path / "looks-like-a-file.txt"
    folder.mkdir()

    drop(visit.page, folder)

    expect(visit.page.get_by_role("alert").first).to_contain_text("could not be read")


def test_picked_files(visit: Visit, service: Service, tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.TXT"
    first.write_text("\ufeff" + DOCUMENTS[0] + "\r\n\r\n" + DOCUMENTS[1])
    second.write_text("\n".join(DOCUMENTS[2:]))

    visit.page.get_by_label("Query").fill(QUERY)
    visit.page.get_by_label("Add files").set_input_files([first, second])
    expect(visit.page.get_by_role("listitem")).to_have_count(2)
    visit.rank()

    visit.expect_results(ranked(service))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.pdf", b"%PDF", "only .txt and .jsonl"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("a.txt", b" \n", "no documents"),
        ("a.jsonl", b'"one"\n\n{"txt": "two"}', "line 3"),
        ("a.jsonl", b'{"text": null}', "line 1"),
        ("a.jsonl", b"one", "line 1"),
    ],
)
def test_refused_file(
    visit: Visit, tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    visit.page.get_by_label("Add files").set_input_files(path)

    expect(visit.page.get_by_role("alert").first).to_contain_text(f"{name} was not added")
    expect(visit.page.get_by_role("alert").first).to_contain_text(sentence)
    expect(visit.page.get_by_role("listitem")).to_have_count(0)


def test_curl_asks_the_same(visit: Visit, service: Service) -> None:
    documents = [*MARKUP, "END", 'it\'s "two" $(id) \t✓']
    visit.fill(documents=documents)
    visit.rank()
    expect(visit.page.locator("ol .text")).to_have_count(len(documents))

    output = subprocess.check_output(["sh", "-c", visit.copied_command()])

    direct = service.rerank(query=QUERY, documents=documents).json()
    assert json.loads(output)["results"] == direct["results"]
    assert visit.results == [documents[result["index"]] for result in direct["results"]]


def test_curl_where_pages_may_not_copy(english: BrowserContext, service: Service) -> None:
    page = english.new_page()
    visit = Visit(page, service.url.replace("127.0.0.1", FOREIGN_HOST))
    visit.fill()
    visit.rank()
    page.get_by_role("button", name="Copy as curl").click()

    shown = page.get_by_label("Copy the selected text by hand")

    expect(shown).to_be_focused()
    expect(shown).to_have_value(re.compile(f"^curl http://{FOREIGN_HOST}:{service.port}/rerank"))
    assert page.evaluate("getSelection().toString()").startswith("curl http")
    assert visit.complaints == []
    page.close()


def test_submitting_again_cancels(visit: Visit, service: Service) -> None:
    failed: list[str] = []
    visit.page.on("requestfailed", lambda request: failed.append(request.failure or ""))
    llama_server = service.llama_server
    llama_server.suspend()
    try:
        visit.fill(documents=["never ranked"])
        visit.rank()
        expect(visit.page.get_by_role("status")).to_have_text("Ranking 1 document…")
        visit.fill()
        visit.rank()
        expect(visit.page.get_by_role("status")).to_have_text("Ranking 4 documents…")
    finally:
        llama_server.resume()

    visit.expect_results(ranked(service))
    assert failed == ["net::ERR_ABORTED"]
    expect(visit.page.get_by_role("alert").get_by_role("heading")).to_have_count(0)


def test_service_that_fails(english: BrowserContext, model: Path, exact_gguf: Path) -> None:
    page = english.new_page()
    settings = {"RERANKER_TIMEOUT_SECONDS": "3", **EXACT}
    with Service(model, RERANKER_GGUF=str(exact_gguf), **settings) as service:
        visit = Visit(page, service.url)
        visit.fill()

        llama_server = service.llama_server
        llama_server.suspend()
        visit.rank()
        visit.expect_failure("The ranking took too long (504)", "RERANKER_TIMEOUT_SECONDS")

        # start.sh would start it again.
        service.process.suspend()
        llama_server.kill()
        visit.rank()
        visit.expect_failure("The model is not ready (503)", "llama-server")

        service.process.resume()
        service.stop()
        visit.rank()
        visit.expect_failure("The service does not answer", "Check that it runs")
        assert page.get_by_label("Query").input_value() == QUERY
    page.close()


def test_service_that_refuses(
    english: BrowserContext, model: Path, exact_gguf: Path, tmp_path: Path
) -> None:
    page = english.new_page()
    settings = {"RERANKER_API_KEY": "schlüssel", "RERANKER_MAX_DOCUMENTS": "3", **EXACT}
    with Service(model, RERANKER_GGUF=str(exact_gguf), **settings) as service:
        visit = Visit(page, service.url)
        expect(page.get_by_label("API key")).to_be_hidden()
        visit.fill(documents=DOCUMENTS[:3])
        visit.rank()
        visit.expect_failure("A key is needed (401)", "RERANKER_API_KEY")
        expect(page.get_by_label("API key")).to_be_focused()

        page.keyboard.type("schlüssel")
        page.keyboard.press("Enter")
        expect(page.locator("ol .text")).to_have_count(3)
        command = visit.copied_command()
        assert "schlüssel" not in command
        keyed = os.environ | {"RERANKER_API_KEY": "schlüssel"}
        output = subprocess.check_output(["sh", "-c", command], env=keyed)
        assert len(json.loads(output)["results"]) == 3

        visit.fill()
        visit.rank()
        visit.expect_failure("Too much for one request (413)", "RERANKER_MAX_DOCUMENTS")
        assert visit.results == []

        broken = tmp_path / "broken.jsonl"
        broken.write_text(r'"half a character: \ud83d"')
        visit.fill(documents=[])
        page.get_by_label("Add files").set_input_files(broken)
        expect(page.get_by_role("listitem")).to_have_count(1)
        visit.rank()
        visit.expect_failure("The service refused the request (422)", "documents[0]")
    page.close()


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
