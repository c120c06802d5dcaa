"""A request under way: how long, cancelled, asked again; and what each refusal says."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.playground.visit import QUERY, Visit, ranked
from toolkit.running import Service

HTML = "<html><head><title>Sign in</title></head><body style='color: red'>…</body></html>"


def refuse(visit: Visit, **answer: Any) -> None:
    """Let something in front of the service answer the next request."""
    visit.page.route("**/rerank", lambda route: route.fulfill(**answer), times=1)


@pytest.mark.parametrize("cancel", ["button", "Escape"])
def test_cancel(visit: Visit, service: Service, cancel: str) -> None:
    page = visit.page
    visit.fill()
    visit.rank()
    visit.expect_results(ranked(service))
    service.llama_server.suspend()
    try:
        visit.rank()
        expect(page.get_by_role("timer")).to_have_text(re.compile("[1-9] s"))
        with page.expect_event("requestfailed"):
            if cancel == "button":
                page.get_by_role("button", name="Cancel").click()
            else:
                page.keyboard.press("Escape")
    finally:
        service.llama_server.resume()
    expect(page.get_by_role("status")).to_have_text("Cancelled.")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(page.get_by_role("timer")).to_be_hidden()
    visit.expect_results(ranked(service))
    expect(page.get_by_role("alert").get_by_role("heading")).to_have_count(0)


@pytest.mark.parametrize(
    ("answer", "title", "advice"),
    [
        ({"status": 403, "json": {"detail": "no"}}, "Access is denied (403)", "proxy or firewall"),
        (
            {"status": 408, "json": {"detail": "RERANKER_BODY_TIMEOUT_SECONDS"}},
            "The request came too slowly (408)",
            "RERANKER_BODY_TIMEOUT_SECONDS",
        ),
        ({"status": 429, "json": {}}, "The queue is full (429)", "more requests wait"),
        ({"status": 503, "json": {}}, "The model is not ready (503)", "It is loading"),
        ({"status": 500, "json": {}}, "The service failed (500)", "log"),
        (
            {"status": 502, "body": HTML},
            "Something else answered in place of the service (502)",
            "Sign in",
        ),
        (
            {"status": 200, "body": HTML},
            "Something else answered in place of the service (200)",
            "Sign in",
        ),
    ],
)
def test_each_refusal_has_its_words(
    visit: Visit, service: Service, answer: dict[str, Any], title: str, advice: str
) -> None:
    refuse(visit, **answer)
    visit.fill()
    visit.rank()
    visit.expect_failure(title, advice)
    visit.complaints.clear()

    # It goes when the next request starts, not when that ends.
    service.llama_server.suspend()
    try:
        visit.rank()
        expect(visit.page.get_by_role("status")).to_contain_text("Ranking")
        expect(visit.page.get_by_role("alert").get_by_role("heading")).to_have_count(0)
    finally:
        service.llama_server.resume()
    visit.expect_results(ranked(service))


@pytest.mark.parametrize(
    "moment", [lambda: "1", lambda: formatdate(usegmt=True)], ids=["seconds", "date"]
)
def test_asked_again_when_the_service_says(
    visit: Visit, service: Service, moment: Callable[[], str]
) -> None:
    asked: list[str] = []

    def full(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=429, headers={"Retry-After": moment()}, json={"detail": "full"})

    visit.page.route("**/rerank", full, times=2)
    visit.fill()
    visit.rank()

    visit.expect_results(ranked(service))
    assert len(asked) == 2
    expect(visit.page.get_by_role("alert").get_by_role("heading")).to_have_count(0)
    visit.complaints.clear()


def test_waiting_is_told_and_cancelled(visit: Visit) -> None:
    refuse(visit, status=429, headers={"Retry-After": "60"}, json={"detail": "full"})
    visit.fill()
    visit.rank()

    expect(visit.page.get_by_role("timer")).to_have_text(re.compile(r"Tries again in \d+ s"))
    visit.page.keyboard.press("Escape")
    expect(visit.page.get_by_role("timer")).to_be_hidden()
    expect(visit.page.get_by_role("alert").get_by_role("heading")).to_have_count(0)
    expect(visit.page.get_by_role("status")).to_have_text("Cancelled.")
    expect(visit.page.get_by_label("Query")).to_have_value(QUERY)
    visit.complaints.clear()


def test_header_waits_for_the_model(visit: Visit) -> None:
    page = visit.page
    page.clock.install(time=0)
    page.clock.pause_at(1)
    loading: Any = {"status": 503, "headers": {"Retry-After": "5"}, "body": "{}"}
    page.route("**/health", lambda route: route.fulfill(**loading), times=1)
    page.reload()

    expect(page.locator("#runs")).to_have_text("The model is loading…")
    page.clock.run_for(5000)
    expect(page.locator("#runs")).to_have_text("tiny · F32 · CPU")
    visit.complaints.clear()
