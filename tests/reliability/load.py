"""Answers under load are the answers given one by one: `python -m tests.reliability.load`."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import typer

from tests.reliability.report import RESULTS, report
from tests.reliability.traffic import Load, known_questions, tiny_service


def main(
    requests: int = 5000,
    clients: int = 16,
    questions: int = 200,
    minutes: float = 30,
    out: Path = RESULTS,
) -> None:
    """Send REQUESTS mixed requests, for at most MINUTES, and compare each answer."""
    with tiny_service() as service:
        known = known_questions(service.url, questions)
        start = time.monotonic()
        with Load(service.url, known, clients) as load:
            while load.outcomes.total < requests and time.monotonic() - start < minutes * 60:
                time.sleep(0.1)
        seconds = time.monotonic() - start
    outcomes = load.outcomes
    p50, p99 = np.percentile([taken for _, taken in outcomes.answers] or [np.nan], (50, 99))
    figures = {
        "clients": clients,
        "different requests": len(known),
        "requests": outcomes.total,
        "outcomes": outcomes.counts,
        "requests per second": round(outcomes.total / seconds, 1),
        "p50 seconds": round(p50, 3),
        "p99 seconds": round(p99, 3),
        "wrong answers": outcomes.wrong[:10],
    }
    checks = {
        "all requests were sent in time": outcomes.total >= requests,
        "every answer is the known one": outcomes.counts["right"] == outcomes.total,
    }
    report("load", figures, checks, out)


if __name__ == "__main__":
    typer.run(main)
