"""axe-core finds nothing, in every state of the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.playground.visit import Visit
from toolkit.running import Service

AXE = Axe()


def rank(visit: Visit) -> None:
    visit.page.locator("#query").fill("when is lunch?")
    visit.page.locator("#documents").fill("soup at noon\n" + "the meeting at two " * 40)
    visit.page.locator("#rank").click()
    expect(visit.page.locator("#progress")).to_be_hidden()
    expect(visit.page.locator("ol li")).to_have_count(2)


def compare(visit: Visit) -> None:
    rank(visit)
    visit.page.locator("#instruction").fill("prefer soup")
    visit.page.locator("#rank").click()
    visit.page.locator("#compared").select_option("1")
    expect(visit.page.locator("article")).to_have_count(2)


def fail(visit: Visit) -> None:
    visit.page.route("**/rerank", lambda route: route.fulfill(status=403, json={}))
    visit.page.locator("#query").fill("when is lunch?")
    visit.page.locator("#documents").fill('{"a": "soup", "b": "noon"}')
    visit.page.locator("#rank").click()
    visit.page.locator("#readAs").select_option("field:a")
    visit.page.locator("#rank").click()
    expect(visit.page.locator("#failure h3")).to_be_visible()


def nothing(visit: Visit) -> None:
    expect(visit.page.locator("#runs")).to_have_text("tiny · F32 · CPU")


STATES: dict[str, tuple[dict[str, object], Callable[[Visit], None]]] = {
    "empty": ({}, nothing),
    "ranked": ({}, rank),
    "compared": ({}, compare),
    "error": ({}, fail),
    "dark": ({"color_scheme": "dark"}, compare),
    "320 px": ({"viewport": {"width": 320, "height": 640}}, compare),
    # As a browser zooms: half as many pixels of CSS, each of two.
    "200 %": ({"viewport": {"width": 640, "height": 450}, "device_scale_factor": 2}, compare),
    "Korean": ({"locale": "ko-KR"}, compare),
    "forced colours": ({"forced_colors": "active"}, compare),
}


def violations(page: Page) -> list[str]:
    found = AXE.run(page).response["violations"]
    return [f"{v['id']}: {node['html']}" for v in found for node in v["nodes"]]


@pytest.mark.parametrize("state", STATES)
def test_no_violations(browser: Browser, service: Service, state: str) -> None:
    options, reach = STATES[state]
    page = browser.new_page(**{"locale": "en-US", **options})  # type: ignore[arg-type]
    reach(Visit(page, service.url))

    assert violations(page) == []
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    page.close()
