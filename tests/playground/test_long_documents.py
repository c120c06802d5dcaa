"""Documents that are longer than the model reads, on the page."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.playground.visit import Visit, ranked
from toolkit.running import Service

# Surrogate pairs before and in what is highlighted: JavaScript counts each emoji twice.
LONG = "🍜 noon soup. " * 700


def test_cut_is_marked_and_split_is_highlighted(visit: Visit, service: Service) -> None:
    documents = ["the meeting starts at two", LONG.strip()]
    visit.fill(documents=documents)
    visit.rank()
    visit.expect_results(ranked(service, documents))
    cut = visit.page.locator("ol li", has_text="noon soup").locator(".cut")
    expect(cut).to_be_visible()
    expect(visit.page.locator("ol .cut:visible")).to_have_count(1)

    visit.page.get_by_label("Split long ones").check()
    visit.rank()

    expect(visit.page.locator("ol mark")).to_have_count(1)
    expect(visit.page.locator("ol .cut:visible")).to_have_count(0)
    body = {"documents": documents, "long_documents": "split", "return_passages": True}
    answer = service.rerank(query="when is the meeting?", **body).json()
    (passage,) = [r["passage"]["text"] for r in answer["results"] if r["index"] == 1]
    assert visit.page.locator("ol mark").text_content() == passage
    # Where the text fades, what counts is above.
    text = visit.page.locator("ol .text.long")
    first_line = text.locator("mark").evaluate("mark => mark.getClientRects()[0].bottom")
    assert first_line < text.evaluate("text => text.getBoundingClientRect().bottom")
    assert '"long_documents": "split"' in visit.copied()
    assert visit.complaints == []
