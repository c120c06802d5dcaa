"""Nothing grows under hours of load: `python -m tests.reliability.soak --minutes 30`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import typer

from tests.reliability.report import RESULTS, report
from tests.reliability.traffic import Load, known_questions, tiny_service

MEASURES: dict[str, Callable[[psutil.Process], float]] = {
    "MB": lambda process: process.memory_info().rss / 1e6,
    "files": lambda process: process.num_fds(),
    "threads": lambda process: process.num_threads(),
}
# By how much each may rise in the second half. A leak grows with time: a slower one takes a
# longer soak to find.
MOST_RISE = {"MB": 16, "files": 8, "threads": 4}
MOST_P99_RATIO = 1.5


def main(minutes: float = 30, clients: int = 4, out: Path = RESULTS) -> None:
    """Load the service for MINUTES and watch memory, open files and threads of both processes."""
    series: dict[tuple[str, str], list[float]] = defaultdict(list)
    hours: list[float] = []
    with tiny_service() as service:
        known = known_questions(service.url, min(100, round(100 * minutes) + 10))
        processes = {"front": service.front, "llama-server": service.llama_server}
        start = time.monotonic()
        with Load(service.url, known, clients) as load:
            while (elapsed := time.monotonic() - start) < minutes * 60:
                hours.append(elapsed / 3600)
                for name, process in processes.items():
                    for measure, value in MEASURES.items():
                        series[name, measure].append(value(process))
                time.sleep(min(5, minutes))
    outcomes = load.outcomes
    half = len(hours) // 2
    p99 = _p99_by_minute(outcomes.answers, start)
    p99_ratio = _later_to_earlier(p99)
    figures: dict[str, object] = {
        "minutes": minutes,
        "clients": clients,
        "requests": outcomes.total,
        "outcomes": outcomes.counts,
        "p99 seconds by minute": p99,
        "p99 of the second half to the first": p99_ratio,
        "wrong answers": outcomes.wrong[:10],
    }
    checks = {
        "every answer is the known one": outcomes.counts["right"] == outcomes.total > 0,
        "p99 is stable": p99_ratio <= MOST_P99_RATIO,
    }
    for (name, measure), values in series.items():
        slope = float(np.polyfit(hours[half:], values[half:], 1)[0])
        rise = slope * (hours[-1] - hours[half])
        figures[f"{name}: {measure} at the end"] = round(values[-1], 1)
        figures[f"{name}: {measure}/h"] = round(slope, 1)
        checks[f"{name}: {measure} are flat"] = rise <= MOST_RISE[measure]
    report("soak", figures, checks, out)


def _p99_by_minute(answers: Sequence[tuple[float, float]], start: float) -> list[float]:
    minutes: dict[int, list[float]] = defaultdict(list)
    for end, seconds in answers:
        minutes[int(end - start) // 60].append(seconds)
    return [round(float(np.percentile(minutes[i], 99)), 3) for i in sorted(minutes)]


def _later_to_earlier(values: Sequence[float]) -> float:
    """The median of the second half to that of the first; one value is both."""
    half = len(values) // 2
    return round(float(np.median(values[half:]) / np.median(values[: half + 1])), 2)


if __name__ == "__main__":
    typer.run(main)
