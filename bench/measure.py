"""Timing one contestant at one work."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import numpy as np
import psutil

from bench.contestants import Contestant
from bench.memory import vram_in_use
from bench.work import Request, Work


@dataclass(frozen=True)
class Measurement:
    """Seconds are wall time, sizes bytes.

    `outside_model` is the share of the time that the contestant's own clock of the model does not
    account for, 0…1, None without such a clock. `peak_rss` is by process, since its start.
    """

    contestant: str
    work: str
    documents: int
    clients: int
    requests: int
    prompt_tokens: int
    p50_seconds: float
    p95_seconds: float
    tokens_per_second: float
    requests_per_second: float
    wire_bytes_per_request: float
    outside_model: float | None
    peak_rss: dict[str, int]
    vram: int


async def measure(
    contestant: Contestant, work: Work, asked: list[Request], clients: int, vram_before: int
) -> Measurement:
    """Let `clients` send the requests `asked`, each client one after the other.

    Bytes are all that crosses the loopback interface, so nothing else may use it.
    """
    waiting = list(asked)
    seconds: list[float] = []
    tokens: list[int] = []

    async def client() -> None:
        while waiting:
            request = waiting.pop()
            start = time.perf_counter()
            tokens.append(await contestant.answer(request))
            seconds.append(time.perf_counter() - start)

    wire, model = _loopback_bytes(), await contestant.model_seconds()
    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    wall = time.perf_counter() - start
    wire, model_after = _loopback_bytes() - wire, await contestant.model_seconds()
    return Measurement(
        contestant=contestant.name,
        work=work.name,
        documents=work.documents,
        clients=clients,
        requests=len(seconds),
        prompt_tokens=round(sum(tokens) / len(tokens)),
        p50_seconds=float(np.percentile(seconds, 50)),
        p95_seconds=float(np.percentile(seconds, 95)),
        tokens_per_second=sum(tokens) / wall,
        requests_per_second=len(seconds) / wall,
        wire_bytes_per_request=wire / len(seconds),
        outside_model=1 - (model_after - model) / wall if model and model_after else None,
        peak_rss=contestant.peak_rss(),
        vram=vram_in_use() - vram_before,
    )


def _loopback_bytes() -> int:
    return int(psutil.net_io_counters(pernic=True)["lo"].bytes_sent)
