"""`python -m app batch`: every request answered once, whatever stops it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Semaphore
from typing import Any

import psutil
import pytest

from tests.fake_server import FakeHandler, FakeServer
from tests.running import EXACT, ROOT, Service, environment, free_port, run_on_terminal, wait_until

BATCH = [sys.executable, "-m", "app", "batch"]
TEXTS = [
    "내일 오후 2시에 품질 미팅이 있습니다",
    "오늘 점심은 김치찌개를 먹었다",
    "The kitchen serves soup at noon.",
    "The meeting about quality starts at two.",
    "الاجتماع غدا في الساعة الثانية بعد الظهر",
]
REQUESTS: list[dict[str, Any]] = [
    {"id": f"r{i}", "query": f"meeting {i}", "documents": [TEXTS[i % 5], TEXTS[(i + 2) % 5]]}
    for i in range(60)
]


def batch(*arguments: object, url: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*BATCH, *map(str, arguments)],
        cwd=ROOT,
        env=environment(RERANKER_URL=url),
        capture_output=True,
        text=True,
        **options,
    )


def start(*arguments: object, url: str) -> psutil.Popen:
    return psutil.Popen(
        [*BATCH, *map(str, arguments)],
        cwd=ROOT,
        env=environment(RERANKER_URL=url),
        stderr=subprocess.PIPE,
        text=True,
    )


def write_lines(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def progress_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.progress")


def failures_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.failed.jsonl")


def done(out: Path) -> int:
    """Requests that the progress file tells as done."""
    path = progress_of(out)
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


def check(answers: Path, requests: list[dict[str, Any]], expected: dict[Any, Any]) -> None:
    """Every request is answered, none twice, with the expected scores, best first."""
    lines = read_lines(answers)
    assert Counter(line["id"] for line in lines) == Counter(request["id"] for request in requests)
    for line in lines:
        scores = [result["relevance_score"] for result in line["results"]]
        assert scores == sorted(scores, reverse=True)
        assert {r["index"]: r["relevance_score"] for r in line["results"]} == expected[line["id"]]


def scores(service: Service, **request: Any) -> dict[int, Any]:
    """What a plain POST answers."""
    request.pop("id", None)
    results = service.rerank(**request).json()["results"]
    return {r["index"]: pytest.approx(r["relevance_score"], abs=1e-5) for r in results}


@pytest.fixture(scope="module")
def expected(service: Service) -> dict[str, Any]:
    return {request["id"]: scores(service, **request) for request in REQUESTS}


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "requests.jsonl", REQUESTS)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "requests.jsonl", REQUESTS[:3])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def test_kills_lose_nothing_and_repeat_nothing(
    service: Service, requests: Path, out: Path, expected: dict[str, Any]
) -> None:
    command = (requests, "--out", out)
    for until in (4, 13, 27):
        job = start(*command, url=service.url)
        wait_until(lambda until=until: done(out) >= until)  # type: ignore[misc]
        job.kill()
        job.wait()
        assert done(out) < len(REQUESTS)

    with out.open("ab") as answers, progress_of(out).open("ab") as progress:
        answers.write(b'{"id": "r39", "resul')
        progress.write(b"39 12")
    already = done(out)
    last = batch(*command, url=service.url)

    assert last.returncode == 0, last.stderr
    assert "60 requests done, 0 of them failed. " in last.stdout
    assert f"Now {60 - already} requests with {2 * (60 - already)} documents in " in last.stdout
    check(out, REQUESTS, expected)
    assert not failures_of(out).exists()
    assert last.stderr == ""
    answered = out.read_bytes()
    assert batch(*command, url="http://127.0.0.1:1").returncode == 0
    assert out.read_bytes() == answered


def test_ctrl_c(service: Service, requests: Path, out: Path, expected: dict[str, Any]) -> None:
    job = start(requests, "--out", out, url=service.url)
    wait_until(lambda: done(out) >= 5)
    job.send_signal(signal.SIGINT)
    _, stderr = job.communicate()

    assert job.returncode == 130
    assert stderr == "Error: interrupted. The same command continues.\n"
    assert 5 <= done(out) < len(REQUESTS)
    assert batch(requests, "--out", out, url=service.url).returncode == 0
    check(out, REQUESTS, expected)


def test_restarts_of_the_service(
    model: Path, exact_gguf: Path, requests: Path, out: Path, expected: dict[str, Any]
) -> None:
    with Service(model, RERANKER_GGUF=str(exact_gguf), **EXACT) as own:
        job = start(requests, "--out", out, "--patience", "60", url=own.url)
        wait_until(lambda: done(out) >= 5)
        own.llama_server.kill()
        wait_until(lambda: done(out) >= 15)
        own.stop()
        own.launch()
        assert job.wait() == 0

    check(out, REQUESTS, expected)
    assert not failures_of(out).exists()


def test_full_disk(service: Service, requests: Path, out: Path, expected: dict[str, Any]) -> None:
    limit = ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash"]
    command = [*BATCH, str(requests), "--out", str(out)]
    stopped = subprocess.run(
        [*limit, *command],
        cwd=ROOT,
        env=environment(RERANKER_URL=service.url),
        capture_output=True,
        text=True,
    )

    assert stopped.returncode == 2
    assert "File too large" in stopped.stderr
    assert 0 < done(out) == len(read_lines(out)) < len(REQUESTS)
    assert batch(requests, "--out", out, url=service.url).returncode == 0
    check(out, REQUESTS, expected)


def test_unreachable_service(service: Service, few: Path, out: Path) -> None:
    command = (few, "--out", out, "--patience", "1")

    stopped = batch(*command, url=f"http://127.0.0.1:{free_port()}")

    assert stopped.returncode == 3
    assert stopped.stderr.endswith("No answer for 1 s. The same command continues.\n")
    assert not failures_of(out).exists()
    assert batch(*command, url=service.url).returncode == 0
    assert len(read_lines(out)) == 3


def test_no_reranker_there(service: Service, few: Path, out: Path) -> None:
    stopped = batch(few, "--out", out, url=f"{service.url}/elsewhere")

    assert stopped.returncode == 2
    assert done(out) == 0
    assert not failures_of(out).exists()


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
    assert "1,025 documents" in failures[6]["error"]
    assert failures[8]["original"] == "[1]"
    assert batch(path, "--out", out, url=service.url).returncode == 1
    assert len(read_lines(failures_of(out))) == 7

    # Mended, the failures are requests under the same ids.
    mended = [failures[4] | {"documents": TEXTS[:1]}, failures[5] | {"query": "soup"}]
    again = tmp_path / "mended-answers.jsonl"
    path = write_lines(tmp_path / "mended.jsonl", mended)
    assert batch(path, "--out", again, url=service.url).returncode == 0
    assert {line["id"] for line in read_lines(again)} == {12345678901234567890123, 5}


RUN = """\
q2 Q0 D3 1 9.5 bm25
q2 Q0 D1 2 8.25 bm25
q2 Q0 D5 3 7.5 bm25

q10\tQ0\tD2\t1\t3.5\tbm25
q10 Q0 D4 2 3.25 bm25
"""
BAD_QUERIES = """\
q3 Q0 D1 1 1 bm25
q4 Q0 D1 1 1 bm25
q4 Q0 D9 2 1 bm25
q1 Q0 D1 1
q5 Q0 D1 1 1 bm25
q5 Q0 D1 2 1 bm25
"""
TSV_TOPICS = "q10\tquality meeting\nq1\tnot asked\nq2\tsoup at noon\n"
TREC_TOPICS = """
<top>
<num> Number: q10
<title> quality
meeting
<desc> Description: anything
</top>
<top><num>q2</num><title>Topic: soup at noon</title></top>
"""


def jsonl_collection() -> str:
    keys = [("id", "text"), ("_id", "contents"), ("docid", "text"), ("docno", "text")]
    records = [{id: f"D{i}", text: TEXTS[i - 1]} for i, (id, text) in enumerate(keys, 1)]
    head, tail = TEXTS[4].split(" ", 1)
    records.append({"id": "D5", "title": head, "text": tail})
    return "".join(json.dumps(record) + "\n" for record in records)


def tsv_collection() -> str:
    return "".join(f"D{i}\t{text}\n" for i, text in enumerate(TEXTS, 1))


def write(path: Path, content: str) -> Path:
    packed = path.suffix == ".gz"
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    return path


@pytest.mark.parametrize("kind", ["tsv", "packed"])
def test_trec_round_trip(service: Service, tmp_path: Path, kind: str) -> None:
    packed = kind == "packed"
    run = write(tmp_path / ("bm25.run.gz" if packed else "bm25.run"), RUN)
    topics = write(tmp_path / "topics", TREC_TOPICS if packed else TSV_TOPICS)
    collection = (
        write(tmp_path / "collection.jsonl.gz", jsonl_collection())
        if packed
        else write(tmp_path / "collection.tsv", tsv_collection())
    )
    inputs = ("--run", run, "--collection", collection, "--topics", topics)
    out = tmp_path / "reranked.run"

    done = batch(*inputs, "--out", out, url=service.url)

    assert done.returncode == 0, done.stderr
    queries = {
        "q2": ("soup at noon", ["D3", "D1", "D5"]),
        "q10": ("quality meeting", ["D2", "D4"]),
    }
    rows = [line.split(" ") for line in out.read_text().splitlines()]
    assert len(rows) == 5
    for id, (query, documents) in queries.items():
        plain = scores(service, query=query, documents=[TEXTS[int(d[1]) - 1] for d in documents])
        found = [row for row in rows if row[0] == id]
        assert {row[2]: float(row[4]) for row in found} == {
            documents[index]: score for index, score in plain.items()
        }
        values = [float(row[4]) for row in found]
        assert values == sorted(values, reverse=True)
        assert [row[3] for row in found] == [str(rank) for rank in range(1, len(found) + 1)]
        assert {row[1] for row in found} == {"Q0"}

    out = tmp_path / "reranked.jsonl"
    assert batch(*inputs, "--out", out, url=service.url).returncode == 0
    for answer in read_lines(out):
        documents = queries[answer["id"]][1]
        assert {r["document_id"] for r in answer["results"]} == set(documents)
        assert all(documents[r["index"]] == r["document_id"] for r in answer["results"])


def test_failed_queries_of_a_run(service: Service, tmp_path: Path) -> None:
    run = write(tmp_path / "bm25.run", RUN + BAD_QUERIES)
    topics = write(tmp_path / "topics.tsv", TSV_TOPICS + "q4\tfour\nq5\tfive\n")
    collection = write(tmp_path / "collection.tsv", tsv_collection())
    out = tmp_path / "reranked.run"

    done = batch(
        "--run", run, "--collection", collection, "--topics", topics, "--out", out, url=service.url
    )

    assert done.returncode == 1, done.stderr
    assert len(out.read_text().splitlines()) == 5
    failures = {failure["line"]: failure for failure in read_lines(failures_of(out))}
    assert failures[7]["error"] == "query q3 is not in the topics"
    assert failures[8]["error"] == "document D9 is not in the collection"
    assert failures[8]["original"] == "q4 Q0 D1 1 1 bm25\nq4 Q0 D9 2 1 bm25"
    assert failures[10]["error"].startswith("not the six columns of a run")
    assert failures[11]["error"] == "query q5 names a document twice"


def test_jsonl_to_run(service: Service, tmp_path: Path) -> None:
    requests = write_lines(tmp_path / "r.jsonl", [REQUESTS[0], REQUESTS[1] | {"id": "a b"}])
    out = tmp_path / "answers.txt"

    done = batch(requests, "--out", out, "--format", "trec", url=service.url)

    assert done.returncode == 1
    assert {tuple(line.split()[:3]) for line in out.read_text().splitlines()} == {
        ("r0", "Q0", "0"),
        ("r0", "Q0", "1"),
    }
    assert "holds a space" in read_lines(failures_of(out))[0]["error"]


def test_wrong_inputs(tmp_path: Path) -> None:
    run = write(tmp_path / "bm25.run", RUN + "q2 Q0 D4 4 1 bm25\n")
    topics = write(tmp_path / "topics.tsv", TSV_TOPICS)
    collection = write(tmp_path / "collection.tsv", tsv_collection())
    out = tmp_path / "reranked.run"

    def refusal(*arguments: object, out: Path = out, url: str = "http://127.0.0.1:1") -> str:
        run = batch(*arguments, "--out", out, url=url)
        assert run.returncode == 2, run.stderr
        assert not progress_of(out).exists()
        return " ".join(run.stderr.replace("│", " ").split())

    inputs = ("--collection", collection, "--topics", topics)
    assert "the lines of query q2 are not together" in refusal("--run", run, *inputs)
    write(run, RUN)
    write(collection, tsv_collection() + "D1\tagain\n")
    assert "the id D1 occurs twice" in refusal("--run", run, *inputs)
    write(collection, tsv_collection() + "D6 no tab\n")
    assert "line 6: neither" in refusal("--run", run, *inputs)
    assert "give either requests, or --run" in refusal("--run", run)
    assert "--format is needed" in refusal(run, out=tmp_path / "answers.txt")
    assert "--out would overwrite" in refusal(run, out=run)
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    assert "no regular file" in refusal(pipe)
    assert "did you mean http://localhost:1?" in refusal(run, url="localhost:1")


def test_answers_of_another_job_are_kept(service: Service, few: Path, out: Path) -> None:
    out.write_text("precious\n")
    refused = batch(few, "--out", out, url=service.url)
    assert refused.returncode == 2
    assert "--restart" in refused.stderr
    assert out.read_text() == "precious\n"
    assert batch(few, "--out", out, "--restart", url=service.url).returncode == 0
    assert len(read_lines(out)) == 3

    write_lines(few, REQUESTS[:2])
    refused = batch(few, "--out", out, url=service.url)
    assert refused.returncode == 2
    assert "was begun with other requests" in refused.stderr
    assert len(read_lines(out)) == 3
    assert batch(few, "--out", out, "--restart", url=service.url).returncode == 0
    assert len(read_lines(out)) == 2


def test_one_job_at_a_time(few: Path, out: Path) -> None:
    command = (few, "--out", out)
    job = start(*command, url="http://127.0.0.1:1")
    wait_until(lambda: progress_of(out).exists() and progress_of(out).stat().st_size > 0)
    second = batch(*command, url="http://127.0.0.1:1")
    job.kill()
    job.wait()

    assert second.returncode == 2
    assert "another batch is writing" in second.stderr


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
    with FakeServer(Faulty) as server:
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


MEASURED = """
import runpy, sys
try:
    runpy.run_module("app", run_name="__main__", alter_sys=True)
finally:
    print(open("/proc/self/status").read(), file=sys.stderr)
"""


def peak_rss(*arguments: object, url: str) -> int:
    """The most memory in bytes that the command takes."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, "batch", *map(str, arguments)],
        cwd=ROOT,
        env=environment(RERANKER_URL=url),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def test_memory_does_not_grow_with_the_requests(service: Service, tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 200_000):
        requests = tmp_path / f"{count}.jsonl"
        with requests.open("w") as lines:
            for i in range(count):
                lines.write(f'{{"query": "{i}", "documents": ["soup"]}}\n')
        out = tmp_path / f"{count}-answers.jsonl"
        # Begun, and all but the last three failed: the rest is quick.
        stopped = batch(requests, "--out", out, "--patience", "0", url="http://127.0.0.1:1")
        assert stopped.returncode == 3
        with progress_of(out).open("a") as progress:
            progress.writelines(f"{i} 0 0\n" for i in range(count - 3))
        peaks.append(peak_rss(requests, "--out", out, url=service.url))
        assert {line["id"] for line in read_lines(out)} == {count - 2, count - 1, count}

    assert peaks[1] < peaks[0] + 10e6


def test_memory_does_not_grow_with_the_collection(service: Service, tmp_path: Path) -> None:
    run = write(tmp_path / "bm25.run", RUN)
    topics = write(tmp_path / "topics.tsv", TSV_TOPICS)
    peaks = []
    for count in (100, 200_000):
        collection = tmp_path / f"{count}.tsv"
        with collection.open("w") as lines:
            lines.writelines(f"D{i}\t{TEXTS[i % 5]}\n" for i in range(count))
        inputs = ("--run", run, "--collection", collection, "--topics", topics)
        peaks.append(peak_rss(*inputs, "--out", tmp_path / f"{count}.run", url=service.url))

    assert peaks[1] < peaks[0] + 10e6
