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
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from bench.growth import Growth
from bench.measure import Measurement
from bench.memory import nvidia_smi

mpl.use("Agg")
from matplotlib import pyplot


class Report:
    """Collects measurements; writes `results.json` and plots into `folder` after each."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._measurements: list[Measurement] = []
        self._growth: list[Measurement] = []
        self.servers: dict[str, str] = {}
        self.failures: list[str] = []

    def add(self, measurement: Measurement) -> None:
        """Add one of a contestant at a work."""
        self._measurements.append(measurement)
        # Works in the order they were given, contestants together.
        works = list(dict.fromkeys((m.work, m.clients) for m in self._measurements))
        self._measurements.sort(key=lambda m: works.index((m.work, m.clients)))
        self._write()
        _plot_rates(self._measurements, self._folder / "tokens_per_second.png")

    def add_growth(self, measurement: Measurement) -> None:
        """Add one of the service at a size of request."""
        self._growth.append(measurement)
        self._write()
        if fit := self._fit():
            _plot_growth(self._growth, fit, self._folder / "growth.png")

    def show(self) -> None:
        """Print tables of everything."""
        console = Console(width=150)
        console.print(_table(self._measurements, self.servers))
        if fit := self._fit():
            console.print(_growth_table(self._growth, fit))
        for failure in self.failures:
            console.print(f"[red]failed[/red] {failure}")

    def _fit(self) -> Growth | None:
        return Growth.fit(self._growth) if len(self._growth) >= 4 else None

    def _write(self) -> None:
        fit = self._fit()
        content = {
            "machine": _machine(),
            "servers": self.servers,
            "python": platform.python_version(),
            "versions": {name: version(name) for name in ("fastapi", "httpx", "numpy")},
            "command": shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
            "measurements": [asdict(measurement) for measurement in self._measurements],
            "growth": [asdict(measurement) for measurement in self._growth],
            "growth_fit": asdict(fit) if fit else None,
            "failures": self.failures,
        }
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (self._folder / "results.json").write_text(text + "\n")


def _table(measurements: Sequence[Measurement], servers: dict[str, str]) -> Table:
    """MB on the wire are for each request, GB are the peaks of all processes together."""
    caption = "\n".join(f"{name}: {server}" for name, server in servers.items())
    table = Table(title="documents × tokens", caption=caption)
    for column in ("work", "clients", "contestant"):
        table.add_column(column, no_wrap=True)
    columns = ["p50 s", "p95 s", "tokens/s", "requests/s", "MB wire", "outside model", "peak GB"]
    vram = any(m.vram for m in measurements)
    for column in [*columns, "VRAM GB"] if vram else columns:
        table.add_column(column, justify="right", no_wrap=True)
    for m in measurements:
        cells = [
            f"{m.p50_seconds:.2f}",
            f"{m.p95_seconds:.2f}",
            f"{m.tokens_per_second:.1f}",
            f"{m.requests_per_second:.3f}",
            f"{m.wire_bytes_per_request / 1e6:.1f}",
            "" if m.outside_model is None else f"{m.outside_model:.1%}",
            f"{sum(m.peak_rss.values()) / 1e9:.2f}",
            f"{m.vram / 1e9:.2f}",
        ]
        table.add_row(m.work, str(m.clients), m.contestant, *cells[: len(table.columns) - 3])
    return table


def _growth_table(measurements: Sequence[Measurement], fit: Growth) -> Table:
    table = Table(
        title="how the time of a request grows",
        caption=f"fit: {fit.constant:.2g} s + {fit.per_token * 1e3:.2g} ms × tokens + "
        f"{fit.per_token_squared * 1e9:.2g} ns × tokens² + "
        f"{fit.per_document * 1e3:.2g} ms × documents, "
        f"at most {fit.largest_deviation:.1%} off",
    )
    for column in ("work", "tokens", "seconds", "fitted"):
        table.add_column(column, justify="right")
    for m in measurements:
        fitted = fit.seconds(np.array([m.prompt_tokens], float), m.documents)[0]
        table.add_row(m.work, f"{m.prompt_tokens:,}", f"{m.p50_seconds:.2f}", f"{fitted:.2f}")
    return table


def _plot_rates(measurements: Sequence[Measurement], path: Path) -> None:
    """Bars of tokens per second, a group for each work."""
    works = list(dict.fromkeys((m.work, m.clients) for m in measurements))
    names = list(dict.fromkeys(m.contestant for m in measurements))
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
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
    pyplot.close(figure)


def _plot_growth(measurements: Sequence[Measurement], fit: Growth, path: Path) -> None:
    """Seconds against tokens and against documents, measured and fitted."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained")
    tokens = np.array([m.prompt_tokens for m in measurements], float)
    documents = np.array([m.documents for m in measurements], float)
    seconds = np.array([m.p50_seconds for m in measurements])
    grid = np.linspace(0, tokens.max(), 100)
    middle = float(np.median(documents))
    left.plot(tokens, seconds, "o", label="measured")
    left.plot(grid, fit.seconds(grid, middle), label="fitted")
    left.plot(
        grid,
        fit.seconds(grid, middle) - fit.per_token_squared * grid**2,
        "--",
        label="fitted, without attention",
    )
    left.set(xlabel="tokens of the prompt", ylabel="seconds of a request")
    left.legend()
    right.plot(documents, seconds - fit.per_token_squared * tokens**2, "o")
    right.set(xlabel="documents", ylabel="seconds without attention")
    for m, x, y in zip(
        measurements, documents, seconds - fit.per_token_squared * tokens**2, strict=True
    ):
        right.annotate(m.work, (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


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
        "gpus": nvidia_smi("name"),
    }
