"""Whether predictions come true, refusals are quick and others pass a batch.

`python -m bench.patience` on a small random model whose llama-server is made slow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from toolkit import tiny_model
from toolkit.running import Service
from toolkit.slow_llama_server import SlowLlamaServer, Slowness

# Far more than the model takes, and yet little enough for hundreds of requests.
SLOWNESS = Slowness(call=0.01, token=0.0005, pair=1e-7)
_WORDS = "the quality meeting starts at two in the kitchen and soup is served at noon".split()
_WARM_UP = 20
_EXPECTED = re.compile(r"expected;dur=([\d.]+)")
_LOW = {"X-Priority": "low"}


@dataclass(frozen=True)
class Answered:
    """An answer's status, and the seconds it took and was expected to take."""

    status: int
    seconds: float
    expected: float | None


class Clients:
    """Sends requests to the service at `url`, each unlike all others."""

    def __init__(self, url: str) -> None:
        self._source = random.Random(0)
        self._http = httpx.AsyncClient(base_url=url, timeout=300)

    async def ask(self, documents: int, words: int, **headers: str) -> Answered:
        """One request of so many documents of so many words."""
        texts = [" ".join(self._source.choices(_WORDS, k=words)) for _ in range(documents)]
        query = f"{self._source.random()} {self._source.choice(_WORDS)}?"
        body = {"query": query, "documents": texts}
        start = time.perf_counter()
        answer = await self._http.post("/rerank", json=body, headers=headers)
        seconds = time.perf_counter() - start
        told = _EXPECTED.search(answer.headers.get("Server-Timing", ""))
        return Answered(answer.status_code, seconds, float(told[1]) / 1e3 if told else None)

    async def ask_mixed(self, **headers: str) -> Answered:
        """One request of some size, most of them small."""
        documents = round(np.exp(self._source.uniform(0, np.log(30))))
        return await self.ask(documents, round(np.exp(self._source.uniform(1, 3.7))), **headers)


async def predictions(clients: Clients, requests: int, at_once: int) -> dict[str, float]:
    """How far the expected times of mixed requests are off, as shares of the times they took."""
    left = iter(range(requests))
    answers: list[Answered] = []

    async def client() -> None:
        for _ in left:
            answers.append(await clients.ask_mixed())

    await asyncio.gather(*(client() for _ in range(at_once)))
    off = np.array([abs(a.expected / a.seconds - 1) for a in answers if a.expected])
    return {
        "requests": len(off),
        "clients": at_once,
        "median seconds": float(np.median([a.seconds for a in answers])),
        "longest seconds": max(a.seconds for a in answers),
        "share within 30 %": float((off <= 0.3).mean()),
        "median deviation": float(np.median(off)),
        "90th percentile of deviations": float(np.percentile(off, 90)),
    }


async def refusals(clients: Clients, requests: int) -> dict[str, float]:
    """What is refused for a wait of 0.3 s beside what takes seconds, all of one size."""
    served = [await clients.ask(40, 40) for _ in range(3)]
    refused = [await clients.ask(40, 40, Prefer="wait=0.3") for _ in range(requests)]
    assert {answer.status for answer in served} == {200}
    seconds = [answer.seconds for answer in refused]
    return {
        "requests": requests,
        "share refused at once": float(np.mean([answer.status == 503 for answer in refused])),
        "median seconds of a refusal": float(np.median(seconds)),
        "longest seconds of a refusal": max(seconds),
        "median seconds of such an answer": float(np.median([a.seconds for a in served])),
    }


async def beside_a_batch(clients: Clients, requests: int) -> dict[str, dict[str, float]]:
    """Seconds of small requests alone, and beside four that ask for a batch in two ways."""
    return {
        "alone": await _small(clients, requests, None),
        "beside a batch that lets others pass": await _small(clients, requests, _LOW),
        "beside a batch that does not": await _small(clients, requests, {}),
    }


async def _small(clients: Clients, requests: int, batch: dict[str, str] | None) -> dict[str, float]:
    batches = []
    answered = 0

    async def ask_on(headers: dict[str, str]) -> None:
        nonlocal answered
        while True:
            await clients.ask(20, 20, **headers)
            answered += 1

    if batch is not None:
        batches = [asyncio.create_task(ask_on(batch)) for _ in range(4)]
        await asyncio.sleep(1)
    begin, before = time.perf_counter(), answered
    seconds = []
    for _ in range(requests):
        await asyncio.sleep(random.uniform(0, 0.2))
        seconds.append((await clients.ask(5, 20)).seconds)
    spent = time.perf_counter() - begin
    for task in batches:
        task.cancel()
    await asyncio.gather(*batches, return_exceptions=True)
    return {
        "p50 seconds": float(np.percentile(seconds, 50)),
        "p99 seconds": float(np.percentile(seconds, 99)),
        "requests of the batch per second": (answered - before) / spent,
    }


@contextmanager
def _slow_service(slots: int) -> Iterator[Service]:
    context = {"LLAMA_ARG_CTX_SIZE": str(8192 * slots), "LLAMA_ARG_N_PARALLEL": str(slots)}
    with tempfile.TemporaryDirectory() as folder:
        tiny_model.make().write(Path(folder))
        with (
            Service(Path(folder), **context) as fast,
            SlowLlamaServer(fast.llama_server_url, SLOWNESS) as server,
        ):
            outside = fast.as_outside_llama_server | {"LLAMA_SERVER_URL": server.url}
            gguf = {"RERANKER_GGUF": fast.front.environ()["RERANKER_GGUF"]}
            with Service(Path(folder), **gguf, **outside) as slow:
                yield slow


async def _measure(url: str, requests: int) -> dict[str, Any]:
    clients = Clients(url)
    for _ in range(_WARM_UP):
        await clients.ask_mixed()
    return {
        "predictions": [await predictions(clients, requests, n) for n in (1, 8)],
        "refusals": await refusals(clients, requests // 4),
        "small requests": await beside_a_batch(clients, requests),
    }


def main() -> None:
    """Measure, print and write all."""
    parser = argparse.ArgumentParser(prog="python -m bench.patience", description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench/results/latest/patience.json"))
    arguments = parser.parse_args()
    with _slow_service(arguments.slots) as service:
        measured = asyncio.run(_measure(service.url, arguments.requests))
    measured = {"slots": arguments.slots, "slowness": vars(SLOWNESS)} | measured
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(measured, indent=1) + "\n")
    _show(measured)


def _show(measured: dict[str, Any]) -> None:
    table = Table("", "")
    parts = [*measured["predictions"], measured["refusals"], *measured["small requests"].values()]
    for part in parts:
        for name, value in part.items():
            table.add_row(name, f"{value:.3g}")
        table.add_section()
    Console().print(table)


if __name__ == "__main__":
    main()
