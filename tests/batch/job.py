"""Jobs of `python -m app batch`, their files, and what they must have written."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from toolkit.running import APP, ROOT, Service, environment, run_app

BATCH = [*APP, "batch"]
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


def batch(*arguments: object, url: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return run_app("batch", *map(str, arguments), RERANKER_URL=url)


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


RUN = """\
q2 Q0 D3 1 9.5 bm25
q2 Q0 D1 2 8.25 bm25
q2 Q0 D5 3 7.5 bm25

q10\tQ0\tD2\t1\t3.5\tbm25
q10 Q0 D4 2 3.25 bm25
"""
TSV_TOPICS = "q10\tquality meeting\nq1\tnot asked\nq2\tsoup at noon\n"


def write(path: Path, content: str) -> Path:
    packed = path.suffix == ".gz"
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    return path
