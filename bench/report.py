"""What was measured: a table, a JSON file and plots."""

from __future__ import annotations

import json
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl
import psutil
from rich.console import Console
from rich.table import Table

from bench.measure import Measurement

mpl.use("Agg")
from matplotlib import pyplot


def show(measurements: Sequence[Measurement], server: str) -> None:
    """Print a table; MB on the wire are for each request, GB are llama-server's peak memory."""
    table = Table(title=f"llama-server: {server}")
    for column in ("work", "clients", "contestant"):
        table.add_column(column, no_wrap=True)
    for column in ("p50 s", "p95 s", "tokens/s", "requests/s", "MB wire", "in model", "peak GB"):
        table.add_column(column, justify="right", no_wrap=True)
    for m in measurements:
        table.add_row(
            m.work,
            str(m.clients),
            m.contestant,
            f"{m.p50_seconds:.2f}",
            f"{m.p95_seconds:.2f}",
            f"{m.tokens_per_second:.1f}",
            f"{m.requests_per_second:.3f}",
            f"{m.wire_bytes_per_request / 1e6:.1f}",
            "" if m.model_share is None else f"{m.model_share:.1%}",
            f"{m.llama_server_peak_rss / 1e9:.2f}",
        )
    Console(width=140).print(table)


def write(measurements: Sequence[Measurement], server: str, path: Path) -> None:
    """Write everything, with machine, versions and command, to the JSON file `path`."""
    content = {
        "machine": _machine(),
        "llama_server": server,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("fastapi", "httpx", "numpy", "xllamacpp")},
        "command": shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        "measurements": [asdict(measurement) for measurement in measurements],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def plot(measurements: Sequence[Measurement], path: Path) -> None:
    """Write bars of tokens per second, a group for each work, to the PNG file `path`."""
    works = list(dict.fromkeys((m.work, m.clients) for m in measurements))
    names = list(dict.fromkeys(m.contestant for m in measurements))
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        rates = {
            (m.work, m.clients): m.tokens_per_second for m in measurements if m.contestant == name
        }
        bars = axes.bar(
            [x + i * width for x in range(len(works))],
            [rates.get(work, 0.0) for work in works],
            width,
            label=name,
        )
        axes.bar_label(bars, fmt="%.0f", fontsize=8)
    axes.set_xticks(
        [x + 0.4 - width / 2 for x in range(len(works))],
        [f"{work}, {clients} client{'s' * (clients > 1)}" for work, clients in works],
    )
    axes.set_xlabel("documents × tokens of a request")
    axes.set_ylabel("tokens/s")
    axes.legend()
    figure.savefig(path, dpi=120)


def _machine() -> dict[str, Any]:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": psutil.cpu_count(logical=False),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
    }
