"""Documents as people have them: pasted text of any format, and files of many."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.playground.visit import DOCUMENTS, QUERY, Visit
from toolkit.running import Service


@pytest.mark.parametrize(
    ("pasted", "read_as", "documents"),
    [
        ("one\ntwo\n\n", "one per line", ["one", "two"]),
        ("one\n\ntwo", "one per line", ["one", "two"]),
        ("one\nmore\n\n \ntwo", "separated by blank lines", ["one\nmore", "two"]),
        ('["one", {"text": "two"}]', "“text”", ["one", "two"]),
        ('["one\\n", "two"]', "JSON", ["one\n", "two"]),
        ('{"query": "?", "documents": ["one", "two"]}', "JSON", ["one", "two"]),
        ('{"body": "one", "id": 7}\n{"body": "two", "title": "T"}', "“body”", ["one", "two"]),
        ("{one\n[two]", "one per line", ["{one", "[two]"]),
    ],
)
def test_pasted(
    visit: Visit, service: Service, pasted: str, read_as: str, documents: list[str]
) -> None:
    visit.page.get_by_label("Query").fill(QUERY)
    visit.page.get_by_label("Documents").fill(pasted)

    expect(visit.page.locator("#total")).to_have_text("2 documents; one request takes 1,024")
    expect(visit.page.get_by_label("Read as").locator("option:checked")).to_have_text(read_as)
    with visit.page.expect_request("**/rerank") as asked:
        visit.rank()
    assert json.loads(asked.value.post_data or "")["documents"] == documents
    expect(visit.page.locator("ol .text")).to_have_count(2)


def test_format_is_chosen(visit: Visit) -> None:
    visit.page.get_by_label("Documents").fill("one\nmore\n\ntwo")

    for name, count in {"one per line": "3 documents", "one document": "1 document;"}.items():
        visit.page.get_by_label("Read as").select_option(name)
        expect(visit.page.locator("#total")).to_contain_text(count)


def test_other_field_names(visit: Visit, tmp_path: Path) -> None:
    visit.page.get_by_label("Query").fill(QUERY)
    lines = [
        {"id": 17, "title": "Lunch", "de": "Suppe um zwölf", "en": DOCUMENTS[0]},
        "not JSON",
        {"id": "b", "en": DOCUMENTS[1]},
        {"id": "c", "de": "nichts"},
    ]
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    visit.page.get_by_label("Add files").set_input_files(path)
    item = visit.page.get_by_role("listitem")
    expect(item).to_contain_text("line 2 was left out: neither")

    visit.rank()
    expect(visit.page.get_by_text("Choose which field holds the text")).to_be_visible()
    choice = visit.page.get_by_label("Read notes.jsonl as")
    expect(choice).to_be_focused()
    choice.select_option("“en”")
    expect(item).to_contain_text("2 documents")
    expect(item).to_contain_text("line 4 was left out: no text in “en”")
    visit.rank()

    row = visit.page.locator("ol li", has_text=DOCUMENTS[0])
    expect(row.locator(".title")).to_have_text("Lunch")
    expect(row.locator(".id")).to_have_text("17")
    expect(visit.page.locator("ol li")).to_have_count(2)


@pytest.mark.parametrize(
    ("name", "content", "column", "documents"),
    [
        (
            "a.csv",
            'id,text\n1,"one, ""two""\nthree"\n2,four',
            "“text”",
            ['one, "two"\nthree', "four"],
        ),
        ("a.csv", "name;body\r\nx;one, two\r\ny;three\r\n", "“body”", ["one, two", "three"]),
        ("a.tsv", 'id\tnote\n1\t"so" called\n2\ttwo\n', "“note”", ['"so" called', "two"]),
        ("a.csv", 'id,text\n1,"open\n2,one\n3,too,many\n4,two', "“text”", ["one", "two"]),
        ("a.json", '[{"body": "one"}, 2, "two"]', "“body”", ["one", "two"]),
    ],
)
def test_tables(
    visit: Visit, tmp_path: Path, name: str, content: str, column: str, documents: list[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode())
    visit.page.get_by_label("Query").fill(QUERY)
    visit.page.get_by_label("Add files").set_input_files(path)
    visit.page.get_by_label(f"Read {name} as").select_option(column)

    with visit.page.expect_request("**/rerank") as asked:
        visit.rank()
    assert json.loads(asked.value.post_data or "")["documents"] == documents
    expect(visit.page.locator("ol .text")).to_have_count(2)


def test_whole_files(visit: Visit, tmp_path: Path) -> None:
    for name in ("a.txt", "b.md"):
        (tmp_path / name).write_text(f"# {name}\n\nseveral\nlines\n")
    visit.page.get_by_label("Add files").set_input_files([tmp_path / "a.txt", tmp_path / "b.md"])

    expect(visit.page.locator("#total")).to_contain_text("2 documents;")
    visit.page.get_by_label("Read a.txt as").select_option("one per line")
    expect(visit.page.locator("#total")).to_contain_text("4 documents;")


def test_limit_is_told_before_ranking(visit: Visit) -> None:
    visit.page.get_by_label("Documents").fill("\n".join(map(str, range(1, 1026))))

    total = visit.page.locator("#total")
    expect(total).to_contain_text("1,025 documents: 1 more than the 1,024")
    visit.page.get_by_label("Documents").fill("one")
    expect(total).to_have_text("1 document; one request takes 1,024")
