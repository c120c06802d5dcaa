"""Write docs/reliability.md: `python -m tests.reliability.document`."""

from __future__ import annotations

import json
from typing import Any

from tests.reliability.report import RESULTS
from tests.running import ROOT

DOCUMENT = ROOT / "docs/reliability.md"
_EACH_RUN = "passes in each test run"
_INTRODUCTION = """\
# Reliability

What the service promises under hostile input, load and faults, and how to check it. Each check runs
the real service with a small random model: times are those of the service and not of a model, and
nothing here is about the quality of a ranking. The scripts write `tests/reliability/results`, and
`python -m tests.reliability.document` makes this page of it.
"""


def document() -> str:
    """The page, with the figures of the results."""
    results = {
        name: json.loads((RESULTS / f"{name}.json").read_text())
        for name in ("load", "soak", "faults")
    }
    rows = [("claim", "check", "figure"), ("---", "---", "---")]
    rows += _tested() + _measured(**{name: r["figures"] for name, r in results.items()})
    machine = results["load"]["machine"]
    lines = [
        _INTRODUCTION,
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        f"Measured with Python {machine['python']} on {machine['cores']} cores, {machine['date']}.",
    ]
    return "\n".join(lines) + "\n"


def _tested() -> list[tuple[str, str, str]]:
    claims = {
        "Text never becomes a special token and changes no token but its own; "
        "each document gets a finite score in -1…1": "tests/reliability/test_hostile_text.py",
        "A small hostile body takes neither minutes nor gigabytes": (
            "tests/reliability/test_hostile_bodies.py tests/test_nfc.py"
        ),
        "The API answers as `/openapi.json` says, without internal errors": (
            "tests/reliability/test_openapi.py"
        ),
        "A request has one answer, to 0.0001: cold or warm, beside others, after a restart": (
            "tests/reliability/test_determinism.py"
        ),
        "What is installed is what was locked": "tests/test_lock.py",
    }
    return [(claim, f"`pytest {tests}`", _EACH_RUN) for claim, tests in claims.items()]


def _measured(
    load: dict[str, Any], soak: dict[str, Any], faults: dict[str, Any]
) -> list[tuple[str, str, str]]:
    slopes = [f"{name} {value:+g}" for name, value in soak.items() if name.endswith("/h")]
    kills, hangs = (faults[f"seconds to recover from each {what}"] for what in ("kill", "hang"))
    return [
        (
            "Answers under load are those given one by one",
            "`python -m tests.reliability.load`",
            f"{_right(load)}; {load['clients']} clients, p99 {load['p99 seconds']} s",
        ),
        (
            "Memory, files and threads stay flat",
            "`python -m tests.reliability.soak`",
            f"{_right(soak)} in {soak['minutes']:g} minutes; {', '.join(slopes)}",
        ),
        (
            "While llama-server dies and hangs, each answer is right or a clear error",
            "`python -m tests.reliability.faults`",
            f"{_right(faults)}, all others clear errors; at most {max(kills)} s to recover from "
            f"{len(kills)} kills, {max(hangs)} s from {len(hangs)} hangs",
        ),
    ]


def _right(figures: dict[str, Any]) -> str:
    return f"{figures['outcomes']['right']:,} of {figures['requests']:,} answers right"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
