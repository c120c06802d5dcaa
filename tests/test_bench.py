"""The benchmark runs, on tiny weights, and writes what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.running import ROOT, environment


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
    contestants = ("prefix", "completion (floor)", "embedding")
    assert measured.keys() == {
        (name, work, clients)
        for name in contestants
        for work in ("3×32", "5×64")
        for clients in (1, 2)
    }
    for m in measured.values():
        assert 0 < m["p50_seconds"] <= m["p95_seconds"]
        assert m["requests"] == m["clients"]
        assert m["llama_server_peak_rss"] > m["front_peak_rss"] / 10 > 0
    wire = {name: measured[name, "5×64", 1]["wire_bytes_per_request"] for name in contestants}
    assert wire["prefix"] < wire["embedding"] / 3
    assert results["machine"]["cores"] > 0
    assert (tmp_path / "out/tokens_per_second.png").read_bytes().startswith(b"\x89PNG")
    assert all(name in done.stdout for name in contestants)
