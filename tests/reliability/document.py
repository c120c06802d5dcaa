"""Write docs/reliability.md: `python -m tests.reliability.document`."""

from __future__ import annotations

import json
from typing import Any

from tests.reliability.report import RESULTS
from toolkit.running import ROOT

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
        for name in ("load", "soak", "faults", "neighbours")
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
        "No more requests wait than RERANKER_QUEUE_LIMIT, others get 429 and Retry-After at once; "
        "clients that leave make room; slow bodies, huge headers and clients that do not read "
        "their answers are cut off; 200 requests or 40 unread answers of a megabyte take bounded "
        "memory": "tests/reliability/test_admission.py",
        "A llama-server that dies or hangs is started again, a full disk ends nothing, and one "
        "deadline covers body, queue and model": "tests/reliability/test_recovery.py",
        "Garbage, cut-off answers, NaN and wrong numbers of vectors from llama-server become "
        "errors, never scores": "tests/reliability/test_faulty_answers.py",
        "A clock that jumps by a month, to and fro, changes nothing": (
            "tests/reliability/test_clock.py"
        ),
        "Damaged weights, those of another model, too little memory or a folder that cannot be "
        "written end start.sh with one message and no process left": "tests/test_start_refused.py",
        "Without enough GPU memory half the context is tried, then the CPU, unless refused": (
            "tests/reliability/test_gpu_fallback.py"
        ),
        "Text never becomes a special token and changes no token but its own; "
        "each document gets a finite score in -1…1": "tests/reliability/test_hostile_text.py",
        "A hostile body takes neither minutes nor gigabytes; four of the largest hold up "
        "other requests for a few passes over a million values, less than half the time in which "
        "Python's `json` would read one": (
            "tests/reliability/test_hostile_bodies.py tests/test_nfc.py"
        ),
        "A request waits for one call of a larger one, whatever that one brings: texts are "
        "tokenized a few kilobytes at a time, as far as they are kept": (
            "tests/reliability/test_fairness.py tests/test_texts.py"
        ),
        "The API answers as `/openapi.json` says, without internal errors": (
            "tests/reliability/test_openapi.py"
        ),
        "A request has one answer, to 0.0001: cold or warm, beside others, after a restart": (
            "tests/reliability/test_determinism.py"
        ),
        "llama-server listens on the machine itself only": "tests/test_start.py",
        "llama-server answers who has its key, and no web page": "tests/test_llama_server_key.py",
        "No score is of other weights than those of RERANKER_GGUF: llama-server started again with "
        "another file, an outside one that serves another model, a file overwritten where it is "
        "are found by the hidden state after the prompts' first tokens, which is computed from "
        "the file too; the service then refuses with 503": (
            "tests/test_fingerprint.py tests/reliability/test_other_weights.py"
        ),
        "Keys share neither remembered states nor llama-server's cache, so that no time tells one "
        "what another has asked; Server-Timing can be told to all": (
            "tests/test_fingerprint.py tests/test_keys.py"
        ),
        "Neither a model's name nor a hub's file name leads into another folder": (
            "tests/test_start_refused.py tests/test_download.py"
        ),
        "What is installed is what was locked": "tests/test_lock.py",
        "No query, document or key is in a log": "tests/test_observe.py tests/test_keys.py",
        "Projectors are read as safetensors only: no pickle is ever loaded": (
            "tests/test_projector.py"
        ),
    }
    return [
        *((claim, f"`pytest {tests}`", _EACH_RUN) for claim, tests in claims.items()),
        (
            "Of the container only the front can be reached from outside",
            "`make test-container`",
            "passes where a container engine runs",
        ),
    ]


def _measured(
    load: dict[str, Any],
    soak: dict[str, Any],
    faults: dict[str, Any],
    neighbours: dict[str, Any],
) -> list[tuple[str, str, str]]:
    slopes = [f"{name} {value:+g}" for name, value in soak.items() if name.endswith("/h")]
    kills, hangs = (faults[f"seconds to recover from each {what}"] for what in ("kill", "hang"))
    hostile, harmless = (
        neighbours[f"pairs of others in another order after a {kind} first document"]
        for kind in ("hostile", "harmless")
    )
    return [
        (
            "Answers under load are those given one by one",
            "`python -m tests.reliability.load`",
            f"{_right(load)}; {load['clients']} clients, p99 {load['p99 seconds']} s",
        ),
        (
            "Memory, files and threads stay flat, answers as quick as at the start",
            "`python -m tests.reliability.soak`",
            f"{_right(soak)} in {soak['minutes']:g} minutes; {', '.join(slopes)}; p99 of the "
            f"second half {soak['p99 of the second half to the first']} of the first",
        ),
        (
            "While llama-server dies and hangs, each answer is right or a clear error",
            "`python -m tests.reliability.faults`",
            f"{_right(faults)}, all others clear errors; {kills[0]} s to recover from a first "
            f"kill, {max(kills)} s from the last of {len(kills)} in a row, for which start.sh "
            f"waits longer each time; at most {max(hangs)} s from {len(hangs)} hangs",
        ),
        (
            "How a hostile first document changes the order of others (reported, with a model of "
            "random weights)",
            "`python -m tests.reliability.neighbours`",
            f"{hostile:.1%} of pairs change places, {harmless:.1%} after a harmless one",
        ),
    ]


def _right(figures: dict[str, Any]) -> str:
    return f"{figures['outcomes']['right']:,} of {figures['requests']:,} answers right"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
