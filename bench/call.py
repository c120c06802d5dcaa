"""What one call of the prefix readout costs beside the model, and what other ways would.

`python -m bench.call FOLDER` with a folder of weights that the benchmark made.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

from toolkit.running import Service

_PROMPT_TOKENS = 300
_HIDDEN_SIZE = 1024
# One for each component that may be positive, and a zero to measure them against.
_COUNT = _HIDDEN_SIZE + 1
_BASE = {"n_predict": 1, "cache_prompt": True, "id_slot": 0, "samplers": ["top_k"]}
_GREEDY = {"temperature": 0, "top_k": 1}


def main() -> None:
    """Time each way in turn, and print and write the medians."""
    arguments = _parse()
    context = {"LLAMA_ARG_CTX_SIZE": "8192", "RERANKER_TIMEOUT_SECONDS": "3600"}
    with (
        Service(arguments.folder, **context) as service,
        service.llama_server_client() as client,
    ):
        results = {
            "one token after 300 in the cache": _calls(client, arguments.rounds),
            "10 documents of 150 tokens": _orders(client, 10, 150),
            "10 documents of 30 tokens": _orders(client, 10, 30),
        }
    table = Table("", "ms")
    for work, medians in results.items():
        table.add_row(f"[bold]{work}")
        for name, median in medians.items():
            table.add_row(name, f"{median * 1e3:.1f}")
    Console().print(table)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")


def _calls(client: httpx.Client, rounds: int) -> dict[str, float]:
    """Median seconds of a call that computes one token, by what it asks for."""
    harmless = client.post("/tokenize", json={"content": "a"}).json()["tokens"][0]
    force = {"logit_bias": [[harmless, 10_000]]}
    # After sampling the forced token counts too, and must leave the others above underflow.
    after = {"n_probs": _COUNT + 1, "top_k": _COUNT + 1, "logit_bias": [[harmless, 60]]}
    after |= {"temperature": 1, "post_sampling_probs": True}
    ways: dict[str, dict[str, Any]] = {
        "no probabilities": _GREEDY,
        "one probability": _GREEDY | force | {"n_probs": 1},
        "all probabilities, as the readout asks": _GREEDY | force | {"n_probs": _COUNT},
        "the same after sampling": after,
        "the same after sampling in the backend": after | {"backend_sampling": True},
    }
    ids = np.random.default_rng(0).integers(1000, 100_000, _PROMPT_TOKENS + rounds).tolist()
    prefix = ids[:_PROMPT_TOKENS]
    _complete(client, prefix, _GREEDY)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for token in track(ids[_PROMPT_TOKENS:], "calls"):
        for name, way in ways.items():
            start = time.perf_counter()
            _complete(client, [*prefix, token], way)
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def _orders(client: httpx.Client, documents: int, tokens: int) -> dict[str, float]:
    """Mean seconds of reading every document of a prompt, by the order of the positions."""
    way = _GREEDY | {"n_probs": _COUNT}
    source = np.random.default_rng(1)
    ends = [100 + tokens * (i + 1) for i in range(documents)]
    orders = {
        "positions in ascending order, as the readout asks": ends,
        "the whole prompt, then the others descending": ends[::-1],
        "the whole prompt only": ends[-1:],
    }
    seconds: dict[str, list[float]] = {name: [] for name in orders}
    for _ in track(range(3), f"{documents} documents of {tokens} tokens"):
        for name, order in orders.items():
            ids = source.integers(1000, 100_000, ends[-1]).tolist()
            start = time.perf_counter()
            for end in order:
                _complete(client, ids[:end], way)
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.mean(values)) for name, values in seconds.items()}


def _complete(client: httpx.Client, prompt: list[int], way: dict[str, Any]) -> None:
    response = client.post("/completion", json=_BASE | way | {"prompt": prompt})
    orjson.loads(response.raise_for_status().content)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.call", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("bench/results/latest/call.json"))
    parser.add_argument("--rounds", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    main()
