"""Timing one contestant at one work."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

import httpx
import numpy as np
import psutil

from bench.contestants import Contestant
from bench.work import Work, make_request


@dataclass(frozen=True)
class Measurement:
    """Seconds are wall time, sizes bytes. `model_share` is of llama-server's own clock, 0…1."""

    contestant: str
    work: str
    clients: int
    requests: int
    p50_seconds: float
    p95_seconds: float
    tokens_per_second: float
    requests_per_second: float
    wire_bytes_per_request: float
    model_share: float | None
    llama_server_peak_rss: int
    front_peak_rss: int


async def measure(
    contestant: Contestant, work: Work, clients: int, requests: int, seed: int
) -> Measurement:
    """Let `clients` send `requests` each, one after the other, after one request to warm up.

    Bytes are all that crosses the loopback interface, so nothing else may use it.
    """
    asked = [
        await make_request(work, contestant.server, seed + i) for i in range(1 + clients * requests)
    ]
    await contestant.answer(asked.pop())
    seconds: list[float] = []
    tokens = 0

    async def client() -> None:
        nonlocal tokens
        for _ in range(requests):
            request = asked.pop()
            start = time.perf_counter()
            tokens += await contestant.answer(request)
            seconds.append(time.perf_counter() - start)

    wire, model = _loopback_bytes(), await _model_seconds(contestant)
    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    wall = time.perf_counter() - start
    model = await _model_seconds(contestant) - model
    return Measurement(
        contestant=contestant.name,
        work=work.name,
        clients=clients,
        requests=len(seconds),
        p50_seconds=float(np.percentile(seconds, 50)),
        p95_seconds=float(np.percentile(seconds, 95)),
        tokens_per_second=tokens / wall,
        requests_per_second=len(seconds) / wall,
        wire_bytes_per_request=(_loopback_bytes() - wire) / len(seconds),
        # llama-server keeps no clock for /embedding.
        model_share=model / wall if model else None,
        llama_server_peak_rss=_peak_rss(contestant.service.llama_server),
        front_peak_rss=_peak_rss(contestant.service.child("uvicorn")),
    )


def _loopback_bytes() -> int:
    return int(psutil.net_io_counters(pernic=True)["lo"].bytes_sent)


async def _model_seconds(contestant: Contestant) -> float:
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"{contestant.service.llama_server_url}/metrics")).text
    names = ("prompt_seconds_total", "tokens_predicted_seconds_total")
    return sum(
        float(value)
        for name in names
        for value in re.findall(rf"^llamacpp:{name} (\S+)", metrics, re.MULTILINE)
    )


def _peak_rss(process: psutil.Process) -> int:
    status = open(f"/proc/{process.pid}/status").read()  # noqa: SIM115
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024
