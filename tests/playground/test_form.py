"""A query and documents become a ranking, or a command that asks for it."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from playwright.sync_api import BrowserContext, FloatRect, expect

from tests.playground.visit import DOCUMENTS, MARKUP, QUERY, Visit, ranked
from toolkit.browser import FOREIGN_HOST
from toolkit.running import Service


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
    expect(visit.page.locator(".axis span")).to_have_text(["−1", "0", "1"])
    expect(visit.page.locator(".scale")).to_contain_text("cosines between −1 and 1")
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


def test_markup_is_text(visit: Visit, service: Service) -> None:
    visit.fill(documents=MARKUP)
    visit.rank()

    visit.expect_results(ranked(service, MARKUP))
    assert visit.page.title() == "jina-reranker"
    assert visit.page.locator("ol img, ol script, ol b").count() == 0


def test_curl_asks_the_same(visit: Visit, service: Service) -> None:
    documents = [*MARKUP, "END", 'it\'s "two" $(id) \t✓']
    visit.fill(documents=documents)
    visit.rank()
    expect(visit.page.locator("ol .text")).to_have_count(len(documents))

    output = subprocess.check_output(["sh", "-c", visit.copied()])

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
