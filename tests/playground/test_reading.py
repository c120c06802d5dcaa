"""How results read: where the focus goes, long texts, other directions, paper, few colours."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.playground.visit import DOCUMENTS, Visit
from toolkit.running import Service


def test_focus_goes_to_the_results(visit: Visit, service: Service) -> None:
    heading = visit.page.get_by_role("heading", name="Results")
    visit.fill()
    visit.page.get_by_label("Query").press("Enter")
    expect(heading).to_be_focused()

    service.llama_server.suspend()
    try:
        visit.rank()
        visit.page.get_by_label("Query").fill("the next one")
    finally:
        service.llama_server.resume()
    expect(visit.page.locator("#progress")).to_be_hidden()
    # Whoever types is left there.
    expect(visit.page.get_by_label("Query")).to_be_focused()


def test_long_text_fades(visit: Visit) -> None:
    short, long = DOCUMENTS[0], "soup at noon. " * 60
    visit.fill(documents=[short, long])
    visit.rank()
    row = visit.page.locator("ol li", has_text="at noon. soup")
    text, button = row.locator(".text"), row.get_by_role("button", name="Show all")
    expect(visit.page.get_by_role("button", name="Show all")).to_have_count(1)
    hidden = "e => e.scrollHeight > e.clientHeight && getComputedStyle(e).maskImage !== 'none'"
    assert text.evaluate(hidden)

    button.click()
    assert not text.evaluate(hidden)
    row.get_by_role("button", name="Show less", expanded=True).click()
    assert text.evaluate(hidden)


def test_texts_have_their_own_direction(visit: Visit) -> None:
    hebrew = "המרק בצהריים"
    visit.fill(hebrew, [hebrew])
    visit.page.get_by_label("Instruction").fill(hebrew)
    visit.rank()
    expect(visit.page.locator("ol .text")).to_have_count(1)

    for selector in ("#query", "#documents", "#instruction", "ol .text"):
        expect(visit.page.locator(selector)).to_have_css("direction", "rtl")


def test_copied_is_announced_and_goes(visit: Visit) -> None:
    visit.fill()
    visit.rank()
    button = visit.page.get_by_role("button", name="Copy as curl")
    expect(button).to_be_visible()
    # However slow the machine is, it stays until the clock goes on.
    visit.page.clock.install(time=0)
    visit.page.clock.pause_at(1)
    button.click()

    expect(visit.page.get_by_role("button", name="Copied")).to_be_visible()
    expect(visit.page.locator("#said[aria-live]")).to_have_text("Copied")
    visit.page.clock.run_for(10_000)
    expect(button).to_be_visible()
    expect(visit.page.locator("#said")).to_be_empty()


def test_bars_on_paper_and_in_forced_colours(visit: Visit) -> None:
    visit.fill()
    visit.rank()
    bar = visit.page.locator(".bar").first

    def differs() -> bool:
        """Whether the bar can be told from its track."""
        colour = "e => getComputedStyle(e).backgroundColor"
        track = visit.page.locator(".track").first
        return bool(bar.evaluate(colour) != track.evaluate(colour))

    visit.page.emulate_media(media="print")
    expect(bar).to_have_css("print-color-adjust", "exact")
    expect(visit.page.locator(".track").first).to_have_css("print-color-adjust", "exact")
    expect(visit.page.locator("form")).to_be_hidden()
    assert differs()
    visit.page.emulate_media(media="screen", forced_colors="active")
    expect(bar).to_have_css("forced-color-adjust", "none")
    assert differs()
