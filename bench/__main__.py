"""Command line of the benchmark."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from pathlib import Path

from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from tokenizers import Tokenizer

from bench.contestants import Contestant, Readout, contestants
from bench.measure import Measurement, measure
from bench.memory import vram_in_use
from bench.report import Report
from bench.weights import FULL, write_model
from bench.work import Work, make_request
from toolkit import tiny_model

WORKS = [Work(10, 128), Work(20, 256), Work(64, 128), Work(16, 2000)]
SMOKE_WORKS = [Work(3, 32), Work(5, 64)]
# Documents of one size, more and more of them, then as many documents, longer and longer.
GROWTH = [Work(n, 128) for n in (1, 8, 32, 64)] + [Work(8, n) for n in (32, 512, 1024, 2000)]
SMOKE_GROWTH = [Work(1, 64), Work(8, 64), Work(2, 256), Work(4, 512)]


def main() -> None:
    """Measure every contestant at every work and write the report."""
    arguments = _parse()
    if arguments.smoke:
        arguments.work, arguments.growth = SMOKE_WORKS, SMOKE_GROWTH
    config = tiny_model.CONFIG if arguments.smoke else FULL
    folder: Path = arguments.weights / f"{'smoke' if arguments.smoke else 'full'}-{arguments.type}"
    print(f"weights: {folder}", flush=True)
    tokenizer = write_model(folder, config, arguments.vocabulary, arguments.type)
    report = Report(arguments.out)
    asyncio.run(Benchmark(tokenizer, report, arguments).run(folder))
    report.show()
    print(f"results.json and the plots are in {arguments.out}")
    sys.exit(bool(report.failures))


class Benchmark:
    """One run over all contestants."""

    def __init__(self, tokenizer: Tokenizer, report: Report, arguments: argparse.Namespace) -> None:
        self._tokenizer = tokenizer
        self._report = report
        self._clients: list[int] = arguments.clients
        self._requests: int = arguments.requests
        self._works: list[Work] = arguments.work
        self._growth: list[Work] = arguments.growth
        # Every request of a run has a seed, so query, of its own: none finds another's cache.
        self._seeds = itertools.count()
        self._vram = vram_in_use()
        self._bar = Progress(
            *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()
        )

    async def run(self, folder: Path) -> None:
        """Let one after the other compete, then measure how the service's time grows."""
        # The embedding readout sets memory aside for its whole context, so that has no spare room.
        context = max(4096, *(work.prompt_tokens for work in self._works))
        rivals = contestants(folder, context)
        turns = len(rivals) * len(self._works) * len(self._clients) + len(self._growth)
        with self._bar:
            self._task = self._bar.add_task("starting", total=turns)
            for rival in rivals:
                await self._compete(rival)
            if self._growth:
                context = max(4096, *(work.prompt_tokens for work in self._growth))
                await self._grow(Readout("prefix", folder, "prefix", context))

    async def _compete(self, contestant: Contestant) -> None:
        try:
            async with contestant.running():
                await contestant.answer(make_request(self._works[0], self._tokenizer, 0))
                self._report.servers[contestant.name] = contestant.server()
                for work in self._works:
                    for clients in self._clients:
                        measured = await self._measure(contestant, work, clients, self._requests)
                        self._report.add(measured)
        # A rival that this machine cannot hold must not cost the others their figures.
        except Exception as error:
            self._report.failures.append(f"{contestant.name}: {error!r}")

    async def _grow(self, service: Readout) -> None:
        async with service.running():
            await service.answer(make_request(self._growth[0], self._tokenizer, 0))
            for work in self._growth:
                self._report.add_growth(await self._measure(service, work, 1, 1))

    async def _measure(
        self, contestant: Contestant, work: Work, clients: int, requests: int
    ) -> Measurement:
        self._bar.update(self._task, description=f"{contestant.name} {work.name} ×{clients}")
        asked = [
            make_request(work, self._tokenizer, next(self._seeds) + 1)
            for _ in range(clients * requests)
        ]
        measured = await measure(contestant, work, asked, clients, self._vram)
        self._bar.advance(self._task)
        return measured


def _work(text: str) -> Work:
    documents, _, tokens = text.replace("×", "x").partition("x")
    return Work(int(documents), int(tokens))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny weights and little work")
    parser.add_argument("--out", type=Path, default=Path("bench/results/latest"))
    parser.add_argument("--weights", type=Path, default=Path("weights/bench"))
    parser.add_argument("--vocabulary", type=Path, help="GGUF whose vocabulary to use")
    parser.add_argument("--type", default="Q8_0", help="of the weights: Q8_0, F16, …")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--requests", type=int, default=3, help="timed requests of each client")
    parser.add_argument("--work", type=_work, nargs="+", default=WORKS, metavar="DOCUMENTSxTOKENS")
    parser.add_argument(
        "--growth", type=_work, nargs="*", default=GROWTH, metavar="DOCUMENTSxTOKENS"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
