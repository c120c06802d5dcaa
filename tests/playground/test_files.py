"""Files and folders that are dropped or picked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.playground.visit import DOCUMENTS, QUERY, Visit, ranked
from toolkit.running import Service


def test_dropped_file(visit: Visit, service: Service, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    documents = ["two\nlines", "noon soup", "<i>"]
    lines = [documents[0], {"text": documents[1], "id": 1}, documents[2]]
    path.write_text("\n\n".join(json.dumps(line) for line in lines) + "\n")
    visit.fill(documents=["typed"])

    drop(visit.page, path)

    expect(visit.page.get_by_role("listitem")).to_contain_text(["notes.jsonl"])
    expect(visit.page.get_by_role("listitem")).to_contain_text(["3 documents"])
    visit.rank()
    expect(visit.page.locator("ol .text")).to_have_count(4)
    # As it stands, where locators would join lines.
    assert visit.results == ranked(service, ["typed", *documents])
    visit.page.get_by_role("button", name="Remove notes.jsonl").click()
    visit.rank()
    visit.expect_results(["typed"])


def drop(page: Page, path: Path) -> None:
    """Let the browser see a file dragged from the desktop onto the page."""
    devtools = page.context.new_cdp_session(page)
    files = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 40, "y": 40, "data": files}
        devtools.send("Input.dispatchDragEvent", event)


def test_dropped_folder(visit: Visit, tmp_path: Path) -> None:
    folder = tmp_path / "looks-like-a-file.txt"
    folder.mkdir()

    drop(visit.page, folder)

    expect(visit.page.get_by_role("alert").first).to_contain_text("could not be read")


def test_picked_files(visit: Visit, service: Service, tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.MD"
    first.write_text("\ufeff" + "\r\n\r\n".join(map(json.dumps, DOCUMENTS[:3])))
    second.write_text(DOCUMENTS[3] + "\n")

    visit.page.get_by_label("Query").fill(QUERY)
    visit.page.get_by_label("Add files").set_input_files([first, second])
    expect(visit.page.get_by_role("listitem")).to_have_count(2)
    visit.rank()

    visit.expect_results(ranked(service))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.pdf", b"%PDF", "only .txt, .md"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("a.txt", b" \n", "no documents"),
        ("a.jsonl", b'{"text": null}', "line 1 was left out: no text in “text”"),
        ("a.jsonl", b"one", "line 1 was left out: neither"),
        ("a.json", b'{"text": "one"}', "not a JSON array"),
        ("a.json", b"[1, 2]", "items 1, 2 were left out"),
        ("a.csv", b'text\n"open\n', "line 2 was left out: a quotation mark"),
    ],
)
def test_refused_file(
    visit: Visit, tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    visit.page.get_by_label("Add files").set_input_files(path)

    alert = visit.page.locator("#file-problems")
    expect(alert).to_contain_text(f"{name} was not added")
    expect(alert).to_contain_text(sentence)
    expect(visit.page.get_by_role("listitem")).to_have_count(0)
