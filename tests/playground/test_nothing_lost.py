"""What was typed and ranked stays: through reloads, Back, the next ranking, another language."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.playground.visit import DOCUMENTS, QUERY, Visit, ranked
from toolkit.running import Service


def test_form_survives_reload_and_back(browser: Browser, service: Service, tmp_path: Path) -> None:
    page = browser.new_page(locale="en-US")
    visit = Visit(page, service.url)
    path = tmp_path / "a.csv"
    path.write_text("de,en\neins,one\n")
    visit.fill()
    page.get_by_label("top_n").fill("2")
    page.get_by_label("Instruction").fill("prefer soup")
    page.get_by_label("Split long ones").check()
    page.get_by_label("Read as").select_option("one document")
    page.get_by_label("Add files").set_input_files(path)
    page.get_by_label("Read a.csv as").select_option("“en”")
    page.get_by_role("button", name="한국어").click()

    def expect_all() -> None:
        expect(page.get_by_label("질의")).to_have_value(QUERY)
        expect(page.locator("#documents")).to_have_value("\n".join(DOCUMENTS))
        expect(page.locator("#topN")).to_have_value("2")
        expect(page.locator("#instruction")).to_have_value("prefer soup")
        expect(page.locator("#split")).to_be_checked()
        expect(page.locator("#readAs")).to_have_value("whole")
        expect(page.locator("#files select")).to_have_value("field:en")
        expect(page.locator("#total")).to_contain_text("문서 2개")

    page.reload()
    expect_all()
    page.get_by_role("link", name="API").click()
    page.wait_for_url("**/docs")
    page.go_back()
    expect_all()
    page.close()


def test_more_than_the_browser_keeps(visit: Visit) -> None:
    visit.page.evaluate("sessionStorage.filler = 'x'.repeat(5_000_000)")
    visit.fill(documents=["x" * 500_000])

    expect(visit.page.get_by_text("more than the browser keeps")).to_be_visible()
    with visit.page.expect_event("dialog") as asked:
        visit.page.on("dialog", lambda dialog: dialog.accept())
        visit.page.reload()
    assert asked.value.type == "beforeunload"
    expect(visit.page.get_by_label("Query")).to_have_value("")


def test_ranking_stays_while_the_next_runs(visit: Visit, service: Service) -> None:
    visit.fill()
    visit.rank()
    visit.expect_results(ranked(service))
    visit.fill(documents=["next"])
    service.llama_server.suspend()
    try:
        visit.rank()
        expect(visit.page.get_by_role("status")).to_have_text("Ranking 1 document…")
        assert len(visit.results) == len(DOCUMENTS)
    finally:
        service.llama_server.resume()
    visit.expect_results(["next"])


def test_rows_are_not_rebuilt_for_another_language(browser: Browser, service: Service) -> None:
    page = browser.new_page(locale="en-US")
    visit = Visit(page, service.url)
    count = 30
    visit.fill(documents=[f"soup {n}" for n in range(count)])
    visit.rank()
    expect(page.locator("ol li")).to_have_count(count)
    row = page.locator("ol li", has_text="soup 0")
    handle = row.element_handle()
    expect(row.locator(".origin")).to_have_text("document 1")

    page.get_by_role("button", name="한국어").click()

    expect(row.locator(".origin")).to_have_text("1번 문서")
    assert handle.evaluate("row => row.isConnected")
    expect(page.get_by_role("status")).to_contain_text(f"문서 {count}개")
    page.close()


def move(results: list[int], others: list[int], index: int) -> str:
    places = others.index(index) - results.index(index)
    return f"up {places}" if places > 0 else f"down {-places}" if places < 0 else "same place"


def order(service: Service, **body: object) -> list[int]:
    answer = service.rerank(documents=DOCUMENTS, **body).raise_for_status().json()
    return [result["index"] for result in answer["results"]]


def test_two_rankings_side_by_side(visit: Visit, service: Service, yes_no_service: Service) -> None:
    page = visit.page
    first = order(service, query=QUERY)
    visit.fill()
    visit.rank()
    expect(page.locator("ol")).to_have_count(1)
    expect(page.get_by_label("Compare with")).to_be_hidden()

    def compare(asked: list[int], differs: str) -> None:
        """Rank again; the first ranking stands left of it."""
        with page.expect_response("**/rerank"):
            visit.rank()
        expect(page.get_by_label("Compare with")).to_be_visible()
        page.get_by_label("Compare with").select_option("1")
        old, new = page.locator("article").first, page.locator("article").last
        expect(new.locator(".text")).to_have_text([DOCUMENTS[index] for index in asked])
        expect(old.locator(".text")).to_have_text([DOCUMENTS[index] for index in first])
        expect(old.locator(".movement:not(:empty)")).to_have_count(0)
        expect(new.locator(".movement")).to_have_text([move(asked, first, i) for i in asked])
        expect(new.locator(".differs, h3").filter(has_text=differs)).to_have_count(1)
        left, right = old.bounding_box(), new.bounding_box()
        assert left
        assert right
        assert left["y"] == right["y"]
        assert left["x"] + left["width"] < right["x"]

    page.get_by_label("Query").fill("soup")
    second = order(service, query="soup")
    compare(second, "2. soup")

    page.get_by_label("Query").fill(QUERY)
    page.get_by_label("Instruction").fill("prefer soup")
    compare(order(service, query=QUERY, instruction="prefer soup"), "instruction: prefer soup")

    page.get_by_label("Instruction").fill("")
    page.get_by_label("Split long ones").check()
    compare(order(service, query=QUERY, long_documents="split"), "long ones split")

    page.get_by_label("Split long ones").uncheck()
    visit.send_to(yes_no_service)
    by_another = order(yes_no_service, query=QUERY)
    compare(by_another, "Qwen3-Reranker-0.6B")
    expect(page.locator("#runs")).to_contain_text("Qwen3-Reranker-0.6B")
    expect(page.locator("#meaning")).to_contain_text("probability that the document answers")

    page.get_by_label("In input order").check()
    for article in (page.locator("article").first, page.locator("article").last):
        expect(article.locator(".text")).to_have_text(DOCUMENTS)
    ranks = [str(by_another.index(i) + 1) for i in range(len(DOCUMENTS))]
    expect(page.locator("article").last.locator(".rank")).to_have_text(ranks)
    moves = [move(by_another, list(range(len(DOCUMENTS))), i) for i in range(len(DOCUMENTS))]
    expect(page.locator("article").last.locator(".movement")).to_have_text(moves)

    page.get_by_label("Compare with").select_option("nothing")
    expect(page.locator("ol")).to_have_count(1)


def test_document_that_the_other_ranking_lacks(visit: Visit, service: Service) -> None:
    visit.fill(documents=DOCUMENTS[:2])
    visit.rank()
    expect(visit.page.locator("ol li")).to_have_count(2)
    visit.fill(documents=DOCUMENTS[1:3])
    visit.rank()
    visit.page.get_by_label("Compare with").select_option("1")

    new = visit.page.locator("article").last.locator("li", has_text=DOCUMENTS[2])
    expect(new.locator(".movement")).to_have_text("not in the other")
