"""axe-core finds nothing, in every state of the page."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.playground.visit import Visit
from toolkit.running import Service

# In CSS pixels; a browser that zooms to 200 % has half as many.
WIDE, HALF, NARROW = 1280, 640, 320
HEIGHT = 800


def violations(page: Page) -> list[str]:
    """What axe-core finds; a page that is wider than its window counts, too."""
    found = [f"{v['id']}: {v['nodes']}" for v in Axe().run(page).response["violations"]]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("wider than the window")
    return found


def test_no_violations(browser: Browser, service: Service) -> None:
    page = browser.new_page(locale="en-US", viewport={"width": WIDE, "height": HEIGHT})
    visit = Visit(page, service.url)
    found: dict[str, list[str]] = {}
    expect(page.locator("#meaning")).to_contain_text("cosine")
    found["empty"] = violations(page)

    page.route("**/rerank", lambda route: route.fulfill(status=403, json={}), times=1)
    visit.fill(documents=['{"a": "soup", "b": "noon"}'])
    visit.rank()
    page.get_by_label("Read as").select_option("“a”")
    visit.rank()
    expect(page.get_by_role("alert").get_by_role("heading")).to_be_visible()
    found["error"] = violations(page)

    visit.fill(documents=["soup at noon", "the meeting at two " * 40])
    visit.rank()
    expect(page.locator("ol li")).to_have_count(2)
    found["ranked"] = violations(page)

    page.get_by_label("Instruction").fill("prefer soup")
    visit.rank()
    page.get_by_label("Compare with").select_option("1")
    expect(page.locator("ol li")).to_have_count(4)
    found["compared"] = violations(page)

    page.emulate_media(color_scheme="dark")
    found["dark"] = violations(page)
    page.emulate_media(color_scheme="light", forced_colors="active")
    found["forced colours"] = violations(page)
    page.emulate_media(forced_colors="none")
    page.set_viewport_size({"width": NARROW, "height": HEIGHT})
    found["320 px"] = violations(page)
    page.set_viewport_size({"width": HALF, "height": HEIGHT // 2})
    found["200 %"] = violations(page)
    page.get_by_role("button", name="한국어").click()
    found["Korean"] = violations(page)

    assert {state: wrong for state, wrong in found.items() if wrong} == {}
    page.close()
