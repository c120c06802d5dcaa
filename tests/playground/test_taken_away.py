"""What people take away: the request as code, the answer as a file."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect

from tests.playground.visit import MARKUP, QUERY, Visit
from toolkit.running import Service

DOCUMENTS = [*MARKUP, 'true "null" \\ 🍜\ttab', "END | *two*"]


def test_code_asks_the_same(visit: Visit, service: Service) -> None:
    page = visit.page
    pasted = json.dumps([*DOCUMENTS, "two\nlines"])
    page.get_by_label("Query").fill(QUERY)
    page.get_by_label("Documents").fill(pasted)
    page.get_by_label("Split long ones").check()
    visit.rank()
    asked = {"query": QUERY, "documents": [*DOCUMENTS, "two\nlines"], "long_documents": "split"}
    direct = service.rerank(**asked, return_passages=True).json()["results"]
    printed = [f"{r['relevance_score']} {asked['documents'][r['index']]}" for r in direct]

    python = subprocess.check_output([sys.executable, "-c", visit.copied("Python")])
    assert python.decode() == "\n".join(printed) + "\n"

    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    page.evaluate(f"async () => {{ {visit.copied('JavaScript')} }}")
    visit.complaints.clear()
    places = [line.partition(" ")[2] for line in logged]
    assert places == [line.partition(" ")[2] for line in printed]

    shell = subprocess.check_output(["sh", "-c", visit.copied("curl")])
    assert json.loads(shell)["results"] == direct


def test_key_stays_out_of_code(visit: Visit, service: Service) -> None:
    visit.page.evaluate("document.getElementById('key-field').hidden = false")
    visit.page.get_by_label("API key").fill("sesame")
    visit.fill()
    visit.rank()
    for language in ("curl", "Python", "JavaScript"):
        code = visit.copied(language)
        assert "sesame" not in code
        assert "RERANKER_API_KEY" in code
        if language == "Python":
            environment = os.environ | {"RERANKER_API_KEY": "sesame"}
            subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_answer_as_file(visit: Visit, service: Service, tmp_path: Path) -> None:
    page = visit.page
    records = [{"id": n, "title": f"T{n}", "text": text} for n, text in enumerate(DOCUMENTS)]
    page.get_by_label("Query").fill(QUERY)
    page.get_by_label("Documents").fill(json.dumps(records))
    visit.rank()
    expect(page.locator("ol li")).to_have_count(len(DOCUMENTS))
    answer = service.rerank(query=QUERY, documents=DOCUMENTS).json()

    def saved(kind: str) -> Path:
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save as {kind}").click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    content = json.loads(saved("JSON").read_bytes())
    assert content["query"] == QUERY
    assert [r.pop("document")["text"] for r in content["results"]] == [
        DOCUMENTS[r["index"]] for r in answer["results"]
    ]
    assert content["results"] == answer["results"]

    with saved("CSV").open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for place, (row, result) in enumerate(zip(rows, answer["results"], strict=True), 1):
        n = result["index"]
        assert float(row.pop("score")) == result["relevance_score"]
        places = {"rank": str(place), "index": str(n), "id": str(n)}
        assert row == {**places, "title": f"T{n}", "text": DOCUMENTS[n]}

    path = saved("Markdown")
    assert path.name == "ranking.md"
    title, _, head, rule, *body = path.read_text().splitlines()
    assert title == f"# {QUERY}"
    assert head.count("|") == rule.count("|") == 7
    assert len(body) == len(DOCUMENTS)
    assert any("END \\| \\*two\\*" in line for line in body)
