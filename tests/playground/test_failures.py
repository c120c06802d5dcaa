"""What the page says when there is no ranking."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from tests.playground.visit import DOCUMENTS, QUERY, Visit, ranked
from toolkit.running import EXACT, Service


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
        expect(page.get_by_label("API key")).to_be_visible()
        expect(page.locator("#runs")).to_have_text("A key is needed to see what runs.")
        visit.fill(documents=DOCUMENTS[:3])
        visit.rank()
        visit.expect_failure("A key is needed (401)", "RERANKER_API_KEY")
        expect(page.get_by_label("API key")).to_be_focused()

        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        visit.expect_failure("This key is not one of the service's (401)", "RERANKER_API_KEY")
        page.get_by_label("API key").fill("schlüssel")
        page.keyboard.press("Enter")
        expect(page.locator("ol .text")).to_have_count(3)
        command = visit.copied()
        assert "schlüssel" not in command
        keyed = os.environ | {"RERANKER_API_KEY": "schlüssel"}
        output = subprocess.check_output(["sh", "-c", command], env=keyed)
        assert len(json.loads(output)["results"]) == 3

        visit.fill()
        expect(page.locator("#total")).to_have_text(re.compile("4 documents: 1 more than the 3"))
        visit.rank()
        visit.expect_failure("Too much for one request (413)", "RERANKER_MAX_DOCUMENTS")
        expect(page.get_by_text("Below is the ranking before.")).to_be_visible()
        assert sorted(visit.results) == sorted(DOCUMENTS[:3])

        page.reload()
        expect(page.locator("#runs")).to_have_text("tiny · F32 · CPU")
        expect(page.get_by_label("Query")).to_have_value(QUERY)
        kept = "JSON.stringify([{...localStorage}, sessionStorage.draft])"
        assert "schlüssel" not in page.evaluate(kept)
        other = english.new_page()
        other.goto(service.url)
        expect(other.get_by_label("API key")).to_have_value("")
        other.close()

        broken = tmp_path / "broken.jsonl"
        broken.write_text(r'"half a character: \ud83d"')
        visit.fill(documents=[])
        page.get_by_label("Add files").set_input_files(broken)
        expect(page.get_by_role("listitem")).to_have_count(1)
        visit.rank()
        visit.expect_failure("The service refused the request (422)", "documents[0]")
    page.close()
