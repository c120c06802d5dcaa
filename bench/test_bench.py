"""The benchmark runs, on tiny weights, and writes what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.growth import Growth
from bench.measure import Measurement
from toolkit.running import ROOT, environment

BLANK = Measurement("prefix", "", 0, 1, 1, 0, 0.0, 0.0, 0.0, 0.0, 0.0, None, {}, 0)


def test_smoke(tmp_path: Path) -> None:
    options = ["--smoke", "--requests", "1", "--clients", "1", "2"]
    folders = ["--out", str(tmp_path / "out"), "--weights", str(tmp_path / "weights")]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *options, *folders],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out/results.json").read_text())
    measured = {(m["contestant"], m["work"], m["clients"]): m for m in results["measurements"]}
    contestants = {"prefix", "completion (floor)", "embedding"}
    assert contestants <= set(results["servers"])
    assert results["failures"] == []
    assert measured.keys() == {
        (name, work, clients)
        for name in results["servers"]
        for work in ("3×32", "5×64")
        for clients in (1, 2)
    }
    for m in measured.values():
        assert 0 < m["p50_seconds"] <= m["p95_seconds"]
        assert m["requests"] == m["clients"]
        assert min(m["peak_rss"].values()) > 1e6
    assert measured["prefix", "5×64", 1]["peak_rss"].keys() == {"llama-server", "uvicorn"}
    assert 0 < measured["prefix", "5×64", 1]["outside_model"] < 1
    # What else runs here is on the same loopback: only that there is a figure can be told.
    assert all(measured[name, "5×64", 1]["wire_bytes_per_request"] > 0 for name in contestants)
    assert results["machine"]["cores"] > 0
    assert [m["prompt_tokens"] for m in results["growth"]][-1] > 4 * 512
    assert results["growth_fit"]["largest_deviation"] >= 0
    for plot in ("tokens_per_second.png", "growth.png"):
        assert (tmp_path / "out" / plot).read_bytes().startswith(b"\x89PNG")
    assert all(name in done.stdout for name in contestants)


def test_growth_is_fitted() -> None:
    works = [(1, 300), (8, 1_300), (32, 5_000), (8, 4_500), (8, 16_500)]
    measurements = [
        replace(
            BLANK,
            documents=documents,
            prompt_tokens=tokens,
            p50_seconds=0.5 + 2e-3 * tokens + 3e-7 * tokens**2 + 0.04 * documents,
        )
        for documents, tokens in works
    ]

    fit = Growth.fit(measurements)

    assert fit.constant == pytest.approx(0.5)
    assert fit.per_token == pytest.approx(2e-3)
    assert fit.per_token_squared == pytest.approx(3e-7)
    assert fit.per_document == pytest.approx(0.04)
    assert fit.largest_deviation < 1e-9
    twice = replace(measurements[0], p50_seconds=2 * measurements[0].p50_seconds)
    assert Growth.fit([*measurements, twice]).largest_deviation > 0.2
