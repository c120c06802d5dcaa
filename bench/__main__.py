"""Command line of the benchmark."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import httpx
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from bench import report
from bench.contestants import Contestant, Floor
from bench.measure import Measurement, measure
from bench.weights import FULL, write_model
from bench.work import Work
from tests import tiny_model

WORKS = [Work(10, 128), Work(20, 256), Work(64, 128), Work(16, 2000)]
SMOKE_WORKS = [Work(3, 32), Work(5, 64)]


def main() -> None:
    """Measure every contestant at every work and write the report."""
    arguments = _parse()
    config = tiny_model.CONFIG if arguments.smoke else FULL
    folder: Path = arguments.weights / ("smoke" if arguments.smoke else "full")
    print(f"weights: {folder}", flush=True)
    write_model(folder, config, arguments.vocabulary)
    works = SMOKE_WORKS if arguments.smoke else arguments.work
    measurements, server = asyncio.run(_run(folder, works, arguments))
    report.show(measurements, server)
    arguments.out.mkdir(parents=True, exist_ok=True)
    report.write(measurements, server, arguments.out / "results.json")
    report.plot(measurements, arguments.out / "tokens_per_second.png")
    print(f"results.json and tokens_per_second.png are in {arguments.out}")


async def _run(
    folder: Path, works: Sequence[Work], arguments: argparse.Namespace
) -> tuple[list[Measurement], str]:
    # Room for the longest prompt; the embedding readout computes it in one batch.
    context = max(work.documents * (work.tokens + 24) + 1024 for work in works)
    context = max(context, 4096)
    contestants = [
        Contestant("prefix", folder, "prefix", context),
        Floor("completion (floor)", folder, "prefix", context),
        Contestant("embedding", folder, "embedding", context),
    ]
    measurements: list[Measurement] = []
    total = len(contestants) * len(works) * len(arguments.clients)
    with Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()
    ) as bar:
        task = bar.add_task("starting", total=total)
        for contestant in contestants:
            async with contestant.running():
                for work in works:
                    for clients in arguments.clients:
                        bar.update(task, description=f"{contestant.name} {work.name} ×{clients}")
                        measurements.append(
                            await measure(contestant, work, clients, arguments.requests, seed=1)
                        )
                        bar.advance(task)
                server = _server_name(contestant)
    order = [(work.name, clients) for work in works for clients in arguments.clients]
    measurements.sort(key=lambda m: order.index((m.work, m.clients)))
    return measurements, server


def _server_name(contestant: Contestant) -> str:
    props = httpx.get(f"{contestant.service.llama_server_url}/props").json()
    binary = os.environ.get("LLAMA_SERVER_BIN")
    kind = Path(binary).name if binary else "embedded (xllamacpp)"
    return f"{kind}, build {props['build_info']}"


def _work(text: str) -> Work:
    documents, _, tokens = text.replace("×", "x").partition("x")
    return Work(int(documents), int(tokens))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny weights and little work")
    parser.add_argument("--out", type=Path, default=Path("bench/results/latest"))
    parser.add_argument("--weights", type=Path, default=Path("weights/bench"))
    parser.add_argument("--vocabulary", type=Path, help="GGUF whose vocabulary to use")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--requests", type=int, default=3, help="timed requests of each client")
    parser.add_argument("--work", type=_work, nargs="+", default=WORKS, metavar="DOCUMENTSxTOKENS")
    return parser.parse_args()


if __name__ == "__main__":
    main()
