"""Jobs whose requests are the run of a search engine, in the formats of TREC."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.batch.job import (
    REQUESTS,
    RUN,
    TEXTS,
    TSV_TOPICS,
    batch,
    failures_of,
    progress_of,
    read_lines,
    scores,
    write,
    write_lines,
)
from toolkit.running import Service

BAD_QUERIES = """\
q3 Q0 D1 1 1 bm25
q4 Q0 D1 1 1 bm25
q4 Q0 D9 2 1 bm25
q1 Q0 D1 1
q5 Q0 D1 1 1 bm25
q5 Q0 D1 2 1 bm25
"""
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
