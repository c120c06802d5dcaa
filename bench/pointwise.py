"""Pointwise models, here and as people run them elsewhere: tokens per second, memory, same scores.

`python -m bench.pointwise yes-no --out results.json` or `cross-encoder`: random weights in the
shape of Qwen3-Reranker-0.6B or bge-reranker-v2-m3, the same for all, in one run. The peers need
torch, transformers and sentence-transformers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import gguf
import httpx
import numpy as np
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from bench.memory import peak_rss
from bench.weights import FULL
from bench.work import Request, Work, make_request
from models.yes_no.prompt import (
    INSTRUCTION,
    SpecialTokens,
    after_document,
    before_document,
    document_text,
)
from toolkit import tiny_encoder, tiny_model
from toolkit.export import write_gguf
from toolkit.running import ROOT, Service, environment, free_port, wait_until

_TIMEOUT_SECONDS = 3600.0
_BGE = tiny_encoder.EncoderConfig(1024, 24, 16, 4096, 8194)
_SPECIAL = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")

Ask = Callable[[Request], list[float]]


@dataclass(frozen=True)
class Running:
    """A contestant that can be asked, and its processes."""

    ask: Ask
    what: str
    pids: Sequence[int]


Start = Callable[[Path], AbstractContextManager[Running]]


def main() -> None:
    """Let one after the other compete; print and write what was measured."""
    arguments = _parse()
    work = Work(arguments.documents, arguments.tokens)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.kind == "yes-no":
            tokenizer, starts = _yes_no(folder, arguments)
        else:
            tokenizer, starts = _cross_encoder(folder, arguments)
        requests = [make_request(work, tokenizer, seed) for seed in range(arguments.clients + 2)]
        tokens = sum(len(e.ids) for e in tokenizer.encode_batch(requests[0].documents))
        rows = {
            name: _measure(start, folder, requests, tokens, arguments.clients)
            for name, start in starts.items()
        }
    results = {"kind": arguments.kind, "layers": arguments.layers, "work": work.name}
    results |= {"clients": arguments.clients, "contestants": rows}
    _show(rows)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.pointwise", description=__doc__)
    parser.add_argument("kind", choices=["yes-no", "cross-encoder"])
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=200, help="of each document")
    parser.add_argument("--clients", type=int, default=20, help="that ask at once")
    parser.add_argument("--layers", type=int, help="fewer than the model has, for less time")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def _measure(
    start: Start, folder: Path, requests: Sequence[Request], tokens: int, clients: int
) -> dict[str, Any]:
    """Seconds and document tokens per second of one request, and of `clients` at once."""
    first, *others = requests
    try:
        with start(folder) as running:
            running.ask(replace(first, documents=first.documents[:2]))
            began = time.perf_counter()
            scores = running.ask(first)
            alone = time.perf_counter() - began
            began = time.perf_counter()
            with ThreadPoolExecutor(clients) as pool:
                list(pool.map(running.ask, others[:clients]))
            together = time.perf_counter() - began
            return {
                "what": running.what,
                "seconds": alone,
                "tokens_per_second": tokens / alone,
                "tokens_per_second_at_once": tokens * clients / together,
                "peak_rss": sum(map(peak_rss, running.pids)),
                "scores": scores,
            }
    # A peer that this machine cannot run must not cost the others their figures.
    except Exception as error:
        return {"failed": repr(error)[:500]}


def _show(rows: dict[str, dict[str, Any]]) -> None:
    table = Table("", "s", "tokens/s", "tokens/s at once", "MB", "largest difference of a score")
    ours = next(iter(rows.values())).get("scores", [])
    for name, row in rows.items():
        if "failed" in row:
            table.add_row(name, row["failed"])
            continue
        row["largest_difference"] = float(np.abs(np.subtract(row.pop("scores"), ours)).max())
        table.add_row(
            name,
            f"{row['seconds']:.1f}",
            f"{row['tokens_per_second']:.0f}",
            f"{row['tokens_per_second_at_once']:.0f}",
            f"{row['peak_rss'] / 1e6:.0f}",
            f"{row['largest_difference']:.1e}",
        )
    Console(width=110).print(table)


def _yes_no(folder: Path, arguments: argparse.Namespace) -> tuple[Tokenizer, dict[str, Start]]:
    config = replace(FULL, num_hidden_layers=arguments.layers or FULL.num_hidden_layers)
    tiny = tiny_model.make_yes_no(config)
    kind = gguf.GGMLQuantizationType.F16
    content = json.loads(tiny.tokenizer.to_str())
    write_gguf(folder / "model.gguf", config, tiny.tensors, content, kind)
    words = tiny.tokenizer.get_vocab()
    rows = tiny.tensors["model.embed_tokens.weight"][[words["yes"], words["no"]]]
    template = _template()
    (folder / "rank").mkdir()
    write_gguf(
        folder / "rank/model.gguf",
        config,
        tiny.tensors | {"score.weight": rows},
        content,
        kind,
        ("yes", "no"),
        template,
    )
    save_file(tiny.tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(asdict(config)))
    (folder / "tokenizer.json").write_text(tiny.tokenizer.to_str())
    (folder / "prompt.json").write_text(json.dumps(template))
    return tiny.tokenizer, {
        "this service": _service("Qwen3-Reranker-0.6B"),
        "llama-server's own /rerank": _own,
        "transformers": _peer("transformers"),
    }


def _template() -> str:
    """The prompt, its special tokens written out."""
    tokens = SpecialTokens(0, 1, 2, 3)
    segments = [
        *before_document(tokens, "{query}", INSTRUCTION),
        document_text("{document}"),
        *after_document(tokens),
    ]
    return "".join(s if isinstance(s, str) else _SPECIAL[s] for s in segments)


def _cross_encoder(
    folder: Path, arguments: argparse.Namespace
) -> tuple[Tokenizer, dict[str, Start]]:
    config = replace(_BGE, num_hidden_layers=arguments.layers or _BGE.num_hidden_layers)
    tiny = tiny_encoder.make(config)
    tiny.write(folder / "model.gguf", gguf.GGMLQuantizationType.F16)
    save_file(tiny.tensors, folder / "model.safetensors", {"format": "pt"})
    hugging_face = asdict(config) | {
        "architectures": ["XLMRobertaForSequenceClassification"],
        "model_type": "xlm-roberta",
        "vocab_size": tiny.tokenizer.get_vocab_size(),
        "id2label": {"0": "LABEL_0"},
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(hugging_face))
    (folder / "tokenizer.json").write_text(tiny.tokenizer.to_str())
    special = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>"}
    special |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    described = special | {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192}
    (folder / "tokenizer_config.json").write_text(json.dumps(described))
    return tiny.tokenizer, {
        "this service": _service("bge-reranker-v2-m3"),
        "sentence-transformers": _peer("sentence_transformers"),
    }


def _service(model: str) -> Start:
    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        variables = {"RERANKER_MODEL": model, "RERANKER_TIMEOUT_SECONDS": str(_TIMEOUT_SECONDS)}
        # Tests make do with one.
        variables |= {"LLAMA_ARG_THREADS": str(os.cpu_count())}
        with Service(folder, **variables) as service:
            pids = [service.llama_server.pid, service.front.pid]
            yield Running(lambda request: _scores(f"{service.url}/v1/rerank", request), model, pids)

    return start


@contextmanager
def _own(folder: Path) -> Iterator[Running]:
    """llama-server as its documentation starts it for ranking."""
    port = str(free_port())
    binary = os.environ.get("LLAMA_SERVER_BIN")
    command = [binary] if binary else [sys.executable, "-m", "models.llama.embedded"]
    command += ["--port", port, "--parallel", "1", "--embeddings", "--pooling", "rank"]
    command += ["--model", str(folder / "rank/model.gguf")]
    command += ["--ctx-size", "2048", "--batch-size", "2048", "--ubatch-size", "2048"]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, cwd=ROOT, env=environment()) as server:
        wait_until(lambda: _is_healthy(url))
        yield Running(lambda request: _scores(f"{url}/v1/rerank", request), "rank", [server.pid])
        server.kill()


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.HTTPError:
        return False


def _scores(url: str, request: Request) -> list[float]:
    answer = httpx.post(url, json=asdict(request), timeout=_TIMEOUT_SECONDS).raise_for_status()
    by_place = {r["index"]: r["relevance_score"] for r in answer.json()["results"]}
    return [by_place[i] for i in range(len(request.documents))]


def _peer(name: str) -> Start:
    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        command = [sys.executable, "-m", "bench.pointwise_peer", name, str(folder)]
        with subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as peer:
            assert peer.stdin
            assert peer.stdout
            what = json.loads(peer.stdout.readline())
            turn = Lock()
            yield Running(lambda request: _ask_peer(peer, request, turn), what, [peer.pid])
            peer.stdin.close()

    return start


def _ask_peer(peer: subprocess.Popen[str], request: Request, turn: Lock) -> list[float]:
    assert peer.stdin
    assert peer.stdout
    with turn:
        peer.stdin.write(json.dumps(asdict(request)) + "\n")
        peer.stdin.flush()
        scores: list[float] = json.loads(peer.stdout.readline())
    return scores


if __name__ == "__main__":
    main()
