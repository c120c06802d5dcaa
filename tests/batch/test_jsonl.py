"""Jobs whose requests are lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Semaphore

import pytest

from tests.batch.job import BATCH, TEXTS, batch, check, failures_of, read_lines, scores, write_lines
from tests.fake_server import FakeHandler
from toolkit.local_server import LocalServer
from toolkit.running import ROOT, Service, environment, run_on_terminal


def test_failed_lines(service: Service, tmp_path: Path, out: Path) -> None:
    good = {"query": "soup", "documents": TEXTS[:3], "top_n": 2, "instruction": "prefer food"}
    all_of_them = {"id": "all", "query": "soup", "documents": TEXTS[:2], "top_n": 0}
    lines: list[bytes] = [
        json.dumps(good).encode(),
        b'{"id": "cut", "query": "so',
        b"  ",
        b'{"id": 12345678901234567890123, "query": "soup"}',
        json.dumps({"query": " ", "documents": TEXTS, "note": "kept"}).encode(),
        json.dumps({"id": "many", "query": "soup", "documents": ["a"] * 1025}).encode(),
        b'{"id": "latin", "query": "caf\xe9", "documents": []}',
        b"[1]",
        json.dumps(all_of_them).encode(),
        b'{"query": "half a character: \\ud83d", "documents": ["a"]}',
    ]
    path = tmp_path / "requests.jsonl"
    path.write_bytes(b"\n".join(lines))

    run = batch(path, "--out", out, url=service.url)

    assert run.returncode == 1, run.stderr
    assert "9 requests done, 7 of them failed." in run.stdout
    check(
        out,
        [{"id": 1}, all_of_them],
        {1: scores(service, **good), "all": scores(service, **all_of_them)},
    )
    failures = {failure["line"]: failure for failure in read_lines(failures_of(out))}
    assert failures.keys() == {2, 4, 5, 6, 7, 8, 10}
    assert failures[2]["original"] == '{"id": "cut", "query": "so'
    assert failures[4]["id"] == 12345678901234567890123
    assert failures[4]["error"] == "documents: Field required"
    assert failures[5]["query"] == " "
    assert failures[5]["note"] == "kept"
    assert "query: must not be empty" in failures[5]["error"]
    assert "more than 1,024 documents" in failures[6]["error"]
    assert failures[8]["original"] == "[1]"
    repeated = batch(path, "--out", out, url=service.url)
    assert repeated.returncode == 1
    assert "Nothing is left to do: 9 requests done, 7 of them failed." in repeated.stdout
    assert "per second" not in repeated.stdout
    assert "another --out" in repeated.stdout
    assert len(read_lines(failures_of(out))) == 7

    # Mended, the failures are requests under the same ids.
    mended = [failures[4] | {"documents": TEXTS[:1]}, failures[5] | {"query": "soup"}]
    again = tmp_path / "mended-answers.jsonl"
    path = write_lines(tmp_path / "mended.jsonl", mended)
    assert batch(path, "--out", again, url=service.url).returncode == 0
    assert {line["id"] for line in read_lines(again)} == {12345678901234567890123, 5}


def test_progress_on_a_terminal(service: Service, few: Path, out: Path) -> None:
    command = [*BATCH, str(few), "--out", str(out)]
    shown = run_on_terminal(command, ROOT, environment(RERANKER_URL=service.url))
    assert "reranking" in shown
    assert "3/3" in shown


class Faulty(FakeHandler):
    """Fails for one query while it answers others, as a service does that the query breaks."""

    received = Semaphore(0)

    def respond(self) -> None:
        query = json.loads(self.request_body())["query"]
        if query == "poison":
            # Three others are in flight at a time: when a fourth comes, one has been answered.
            for _ in range(4):
                self.received.acquire()
            self.answer(503, b'{"detail": "llama-server failed"}')
        else:
            self.received.release()
            self.answer(200, b'{"results": [{"index": 0, "relevance_score": 0.5}]}')


@pytest.fixture
def faulty() -> Iterator[str]:
    with LocalServer(Faulty) as server:
        yield server.url


def test_request_that_breaks_the_service(faulty: str, tmp_path: Path, out: Path) -> None:
    lines = [{"id": i, "query": str(i), "documents": ["a"]} for i in range(10)]
    lines.insert(1, {"id": "bad", "query": "poison", "documents": ["a"]})
    requests = write_lines(tmp_path / "requests.jsonl", lines)

    run = batch(requests, "--out", out, "--patience", "0", url=faulty)

    assert run.returncode == 1, run.stderr
    assert len(read_lines(out)) == 10
    (failure,) = read_lines(failures_of(out))
    assert "llama-server failed" in failure.pop("error")
    assert failure == lines[1] | {"line": 2}
