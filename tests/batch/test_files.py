"""No input is written, nothing that was written is lost, and text is read by one rule."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.batch.errors import BatchError
from app.batch.inputs import Inputs
from app.batch.journal import Journal
from app.batch.jsonl import JSONLines
from app.batch.outputs import Outputs
from app.batch.trec import Run
from tests.batch.job import (
    RUN,
    TEXTS,
    TSV_TOPICS,
    batch,
    failures_of,
    progress_of,
    read_lines,
    start,
    write_lines,
)
from tests.fake_server import FakeHandler
from toolkit.local_server import LocalServer
from toolkit.running import wait_until

LINES = [{"id": i, "query": str(i), "documents": ["a"]} for i in range(8)]
RANKING = b'{"results": [{"index": 0, "relevance_score": 0.5}]}'
JOB = {"requests": "0" * 64, "format": "jsonl"}


def hard_link(path: Path, target: Path) -> None:
    os.link(target, path)


def symbolic_link(path: Path, target: Path) -> None:
    path.symlink_to(target)


@pytest.mark.parametrize("output", ["answers.jsonl", "answers.jsonl.failed.jsonl"])
@pytest.mark.parametrize("link", [hard_link, symbolic_link])
@pytest.mark.parametrize("outward", [True, False])
def test_an_input_is_no_output_under_any_name(
    tmp_path: Path, output: str, link: Callable[[Path, Path], None], outward: bool
) -> None:
    requests, other = tmp_path / "requests.jsonl", tmp_path / output
    if outward:
        link(other, write_lines(requests, LINES))
    else:
        link(requests, write_lines(other, LINES))
    with pytest.raises(BatchError, match="would overwrite"):
        Outputs(tmp_path / "answers.jsonl").check([requests])


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.failed.jsonl", "a.jsonl.progress"])
@pytest.mark.parametrize("folder", [".", "linked", "../{}", "below/.."])
def test_an_input_is_no_output_by_any_way(tmp_path: Path, name: str, folder: str) -> None:
    (tmp_path / "linked").symlink_to(".")
    (tmp_path / "below").mkdir()
    requests = write_lines(tmp_path / name, LINES)
    with pytest.raises(BatchError, match="would overwrite"):
        Outputs(tmp_path / folder.format(tmp_path.name) / "a.jsonl").check([requests])


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    def refusal(name: str) -> str:
        with pytest.raises(BatchError) as refused:
            Outputs(tmp_path / name).check([])
        return str(refused.value)

    os.mkfifo(tmp_path / "pipe.jsonl.progress")
    (tmp_path / "folder.jsonl.failed.jsonl").mkdir()
    (tmp_path / "one.jsonl").touch()
    hard_link(tmp_path / "one.jsonl.progress", tmp_path / "one.jsonl")
    assert "no regular file" in refusal("pipe.jsonl")
    assert "no regular file" in refusal("folder.jsonl")
    assert "are one file" in refusal("one.jsonl")
    assert "no folder" in refusal("missing/a.jsonl")
    assert "not packed" in refusal("a.jsonl.gz")


class Picky(FakeHandler):
    """Answers each request but those for `bad`, whose answers are listed by query."""

    answers: dict[str, list[tuple[int, bytes]]] = {}  # noqa: RUF012

    def respond(self) -> None:
        query = json.loads(self.request_body())["query"]
        coming = self.answers.get(query, [])
        status, content = coming[0] if coming else (200, RANKING)
        if len(coming) > 1:
            coming.pop(0)
        self.answer(status, content)


@pytest.fixture
def picky() -> Iterator[str]:
    Picky.answers = {}
    with LocalServer(Picky) as server:
        yield server.url


def test_failures_mended_in_place_are_kept(picky: str, tmp_path: Path, out: Path) -> None:
    requests = write_lines(tmp_path / "requests.jsonl", [*LINES[:3], LINES[3] | {"documents": 1}])
    assert batch(requests, "--out", out, url=picky).returncode == 1
    (failure,) = read_lines(failures_of(out))
    mended = write_lines(failures_of(out), [failure | {"documents": ["a"]}])
    content, answers = mended.read_bytes(), out.read_bytes()

    done = batch(mended, "--out", out, "--restart", url=picky)
    assert done.returncode == 2
    assert f"--out would overwrite {mended}" in done.stderr
    done = batch(requests, "--out", out, url=picky)
    assert done.returncode == 2
    assert "is not as the job left it" in done.stderr
    assert (mended.read_bytes(), out.read_bytes()) == (content, answers)

    other = tmp_path / "others.jsonl"
    assert batch(mended, "--out", other, url=picky).returncode == 0
    assert [line["id"] for line in read_lines(other)] == [3]
    assert mended.read_bytes() == content


def write_journal(out: Path) -> None:
    with Journal(Outputs(out), JOB) as journal:
        for number in range(4):
            journal.record(number, answer=b'{"id": %d}\n' % number)
        journal.record(4, failure=b'{"line": 5}\n')
        journal.record(5, answer=b'{"id": 5}\n')


def test_any_damage_of_the_progress_is_told_and_loses_nothing(out: Path) -> None:
    write_journal(out)
    progress = progress_of(out)
    good, answers, failures = (p.read_bytes() for p in (progress, out, failures_of(out)))
    damaged = [good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :] for i in range(len(good) - 1)]
    lines = good.splitlines(keepends=True)
    damaged += [b"".join(lines[:i] + lines[i + 1 :]) for i in range(1, len(lines) - 1)]
    damaged += [b"\0" * 99, b"garbage", b"[]\n", b"{}", b"[" * 100_000 + b"\n", good + lines[-1]]
    damaged += [good + b"9 -1 0\n", good + b"9 0 0\n", good + b"\xff\n"]
    for content in damaged:
        progress.write_bytes(content)
        with pytest.raises(BatchError, match=r"damaged|was begun with other|not as the job"):
            Journal(Outputs(out), JOB)
        assert (out.read_bytes(), failures_of(out).read_bytes()) == (answers, failures)
    progress.write_bytes(good)
    with Journal(Outputs(out), JOB) as journal:
        assert (len(journal.done), journal.failed) == (6, 1)


def test_a_progress_file_of_an_earlier_version_goes_on(out: Path) -> None:
    write_journal(out)
    lines = [line[:-10] + b"\n" for line in progress_of(out).read_bytes().splitlines(True)[1:]]
    header = progress_of(out).read_bytes().splitlines(True)[0]
    progress_of(out).write_bytes(header + b"".join(lines))
    for number in (6, 7):
        with Journal(Outputs(out), JOB) as journal:
            assert len(journal.done) == number
            journal.record(number, answer=b"{}\n")


def test_whatever_was_cut_off_is_asked_again(out: Path) -> None:
    write_journal(out)
    whole = {path: path.read_bytes() for path in (out, failures_of(out), progress_of(out))}
    header = whole[progress_of(out)].index(b"\n") + 1
    for path, content in whole.items():
        # Of the header no byte is written before its file is a journal.
        for length in range(header if path == progress_of(out) else 0, len(content)):
            if path != progress_of(out) and content[:length].endswith(b"\n"):
                continue
            for name, original in whole.items():
                name.write_bytes(original)
            path.write_bytes(content[:length])
            with Journal(Outputs(out), JOB) as journal:
                for number in range(6):
                    if number not in journal.done:
                        record = b'{"id": %d}\n' % number
                        journal.record(number, answer=record)
            ids = [line["id"] for line in read_lines(out)]
            assert len(ids) == len({*ids})
            assert {*ids} >= {0, 1, 2, 3, 5}


def test_hard_links_of_the_answers_are_one_job(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.touch()
    hard_link(second, first)
    with Journal(Outputs(first), JOB), pytest.raises(BatchError, match="another batch is writing"):
        Journal(Outputs(second), JOB)


def test_an_input_that_changes_is_told(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "requests.jsonl", LINES)
    content = path.read_bytes()
    inputs = Inputs({"requests": path})
    path.touch()
    path.chmod(0o600)
    inputs.check()
    for change in (content[:-5], content + b"\n", content.replace(b"a", b"b"), b""):
        path.write_bytes(change)
        with pytest.raises(BatchError, match="changed while the job read it"):
            inputs.check()
    path.write_bytes(content)
    inputs.check()
    path.unlink()
    with pytest.raises(BatchError, match="changed while the job read it"):
        inputs.check()


def test_a_job_ends_when_its_input_changes(picky: str, tmp_path: Path, out: Path) -> None:
    requests = write_lines(tmp_path / "requests.jsonl", LINES)
    content = requests.read_bytes()
    # The last request is answered only after the change.
    Picky.answers = {"7": [(503, b"{}")]}
    job = start(requests, "--out", out, url=picky)
    wait_until(lambda: out.exists() and len(read_lines(out)) == 7)
    requests.write_bytes(content.replace(b'"7"', b'"6"'))
    Picky.answers = {}
    _, stderr = job.communicate()

    assert job.returncode == 2
    assert f"{requests} changed while the job read it" in stderr
    assert {line["id"] for line in read_lines(out)} == set(range(7))
    requests.write_bytes(content)
    assert batch(requests, "--out", out, url=picky).returncode == 0
    assert sorted(line["id"] for line in read_lines(out)) == list(range(8))


def test_a_job_goes_on_after_any_answer(picky: str, tmp_path: Path, out: Path) -> None:
    requests = write_lines(tmp_path / "requests.jsonl", LINES)
    for_ever = b'{"results": [{"index": [], "relevance_score": 1}]}'
    Picky.answers = {
        "0": [(408, b"{}"), (429, b"{}"), (200, RANKING)],
        "1": [(200, b"["), (200, RANKING)],
        "2": [(200, for_ever)],
        "3": [(500, b"\xff")],
        "4": [(529, b"busy"), (200, RANKING)],
        "5": [(422, b'{"detail": [[]]}')],
    }
    done = batch(requests, "--out", out, "--in-flight", "1", url=picky)
    assert done.returncode == 1, done.stderr
    assert sorted(line["id"] for line in read_lines(out)) == [0, 1, 4, 6, 7]
    assert sorted(line["id"] for line in read_lines(failures_of(out))) == [2, 3, 5]


def test_a_first_answer_that_is_no_ranking_fails_its_request_only(
    picky: str, tmp_path: Path, out: Path
) -> None:
    requests = write_lines(tmp_path / "requests.jsonl", LINES[:2])
    Picky.answers = {"0": [(200, b"null")]}
    assert batch(requests, "--out", out, "--in-flight", "1", url=picky).returncode == 1
    assert [line["id"] for line in read_lines(out)] == [1]

    Picky.answers |= {query: [(200, b"<html>")] for query in ("a", "1")}
    nobody = batch(requests, "--out", out, "--restart", url=picky)
    assert nobody.returncode == 2
    assert "is it a reranker?" in nobody.stderr
    assert not failures_of(out).exists()


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_of_requests(tmp_path: Path, encoding: str, packed: bool) -> None:
    lines = [
        {"id": "한", "query": {"text": "회의"}, "documents": [{"text": TEXTS[0]}, TEXTS[4]]},
        {"query": "soup", "documents": [{"text": "a", "id": 3}]},
    ]
    text = "\r\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    content = text.encode(encoding)
    # The content tells that it is packed, whatever its name.
    path = tmp_path / "requests.jsonl"
    path.write_bytes(gzip.compress(content) if packed else content)
    source = JSONLines(path)
    requests = [source.request(entry) for entry in source]
    assert [(r.id, r.query, r.documents) for r in requests] == [
        ("한", "회의", [TEXTS[0], TEXTS[4]]),
        (2, "soup", ["a"]),
    ]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("topics", [TSV_TOPICS, "<top><num>q2<title>soup at noon</top>"])
def test_encodings_of_a_run(tmp_path: Path, encoding: str, packed: bool, topics: str) -> None:
    def write(name: str, text: str) -> Path:
        content = text.encode(encoding)
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if packed else content)
        return path

    collection = "".join(f"D{i}\t{text}\n" for i, text in enumerate(TEXTS, 1))
    run = Run(write("run", RUN), write("collection", collection), write("topics", topics))
    request = run.request(next(iter(run)))
    assert (request.id, request.query) == ("q2", "soup at noon")
    assert request.documents == [TEXTS[2], TEXTS[0], TEXTS[4]]


@pytest.mark.parametrize(
    ("topics", "collection", "message"),
    [
        ("<top><num>q2<title>café</top>".encode("latin-1"), b"", "topics is not UTF-8 at byte 22"),
        (b"q2\tsoup\n", b"D1\tcaf\xe9\n", "collection, line 1"),
        (b"q2\tsoup\n", b'{"id": "D1", "text": null}\n', "is no string"),
        ("q2\tsoup\n".encode("utf-16-le"), b"", "UTF-16 without a byte order mark"),
        (b"\xff\xfeq", b"", "is not the UTF-16"),
    ],
)
def test_text_that_cannot_be_read(
    tmp_path: Path, topics: bytes, collection: bytes, message: str
) -> None:
    paths = [tmp_path / name for name in ("run", "collection", "topics")]
    for path, content in zip(paths, (RUN.encode(), collection, topics), strict=True):
        path.write_bytes(content)
    with pytest.raises(BatchError, match=message):
        Run(*paths)


def test_a_collection_that_changes_is_told(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("run", "collection", "topics")]
    paths[0].write_text(RUN)
    paths[1].write_text("".join(f"D{i}\t{text}\n" for i, text in enumerate(TEXTS, 1)))
    paths[2].write_text(TSV_TOPICS)
    run = Run(*paths)
    for content in (b"", b"\xff" * 500, b"D9\tother\n" * 50):
        with paths[1].open("r+b") as file:
            file.truncate(0)
            file.write(content)
        with pytest.raises(BatchError, match="changed while the job read it"):
            run.request(next(iter(run)))
