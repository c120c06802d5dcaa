"""A job takes no more memory for more requests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.batch.job import RUN, TEXTS, TSV_TOPICS, batch, progress_of, read_lines, write
from toolkit.running import ROOT, Service, environment

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
