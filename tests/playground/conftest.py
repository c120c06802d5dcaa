"""The page, open in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.playground.visit import Visit
from toolkit.browser import open_browser
from toolkit.running import START_UP_SECONDS, Service


# Not for the session: its event loop would be in the way of tests that run one themselves.
@pytest.fixture(scope="package", autouse=True)
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=1000 * START_UP_SECONDS)
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def english(browser: Browser) -> BrowserContext:
    """Where English is spoken and pages may copy."""
    return browser.new_context(locale="en-US", permissions=["clipboard-read", "clipboard-write"])


@pytest.fixture
def visit(english: BrowserContext, service: Service) -> Iterator[Visit]:
    """A visit that ends well: nothing complained, nobody else was asked."""
    page = english.new_page()
    visit = Visit(page, service.url)
    yield visit
    page.close()
    assert visit.complaints == []
    assert all(url.startswith(f"{service.url}/") for url in visit.requests)
