"""The header tells what runs, and the examples rank as a reader would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.playground.visit import Visit
from toolkit.running import Service

ANSWERS = {
    "How much caffeine is in a cup of coffee?": (
        "A cup of coffee holds about 95 mg of caffeine, an espresso 63 mg.",
        "Tea has much less caffeine.",
    ),
    "Can I return shoes that I have worn?": (
        "Worn shoes cannot be returned, but shoes with a defect are repaired for two years.",
        "Shoes can be returned within 30 days if they were not worn outside.",
    ),
    "내일 회의는 언제인가요?": (
        "내일 오후 2시에 3층 회의실에서 품질 회의가 있습니다.",
        "품질 회의에 참석하는 분은 내일 아침까지 자료를 보내 주세요.",
    ),
}


@pytest.fixture
def visited(browser: Browser, demo: Service) -> Iterator[Page]:
    page = browser.new_page(locale="en-US")
    visit = Visit(page, demo.url)
    yield page
    page.close()
    assert visit.complaints == []


def test_demo_and_its_examples(visited: Page) -> None:
    header = visited.get_by_role("banner")
    expect(header.locator("#runs")).to_have_text("demo · F16 · CPU")
    expect(header).to_contain_text("Demo model, for trying the service")
    expect(header).to_contain_text("A score is a cosine")
    expect(header).to_contain_text("−1 to 1, higher is better")

    for query, best in ANSWERS.items():
        visited.get_by_role("button", name=query).click()
        texts = visited.locator("ol .text")
        expect(texts.first).to_have_text(best[0])
        expect(texts.nth(1)).to_have_text(best[1])
        expect(texts).to_have_count(6)
        expect(visited.get_by_label("Query")).to_have_value(query)

    visited.get_by_label("Query").fill("mine")
    expect(visited.get_by_role("button", name="caffeine")).to_be_hidden()
