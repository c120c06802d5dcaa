"""Layers with windows: what a request computes and what llama-server takes, by how it keeps them.

`python -m bench.windows --out results.json`: four layers of the width of jina-reranker-v3.5, three
with windows, and the same without.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.memory import peak_rss
from bench.weights import FULL
from bench.work import Work, make_request
from toolkit import tiny_model
from toolkit.export import write_gguf, write_projector
from toolkit.running import Service

_LAYERS = [*["sliding_attention"] * 3, "full_attention"]
_SHAPE = replace(FULL, num_hidden_layers=len(_LAYERS))
_WINDOWED = replace(_SHAPE, use_sliding_window=True, sliding_window=1024, layer_types=_LAYERS)
_CONTEXT, _LARGE_CONTEXT = "16384", "33024"
_WORK, _SMALL = Work(16, 120), Work(2, 60)
# As they are told to llama-server; the service's own way has none.
_WAYS: dict[str, tuple[bool, Work, dict[str, str]]] = {
    "windows, as this service starts it": (True, _WORK, {}),
    "windows, --ctx-checkpoints 0": (True, _WORK, {"LLAMA_ARG_CTX_CHECKPOINTS": "0"}),
    "windows, --ctx-checkpoints 32": (True, _WORK, {"LLAMA_ARG_CTX_CHECKPOINTS": "32"}),
    "windows, --swa-full": (True, _WORK, {"LLAMA_ARG_SWA_FULL": "1"}),
    "no windows": (False, _WORK, {}),
    "windows, 33,024 tokens of context": (True, _SMALL, {"LLAMA_ARG_CTX_SIZE": _LARGE_CONTEXT}),
    "no windows, 33,024 tokens": (False, _SMALL, {"LLAMA_ARG_CTX_SIZE": _LARGE_CONTEXT}),
}


def main() -> None:
    """Measure each way once, print and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.windows", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folders = {True: Path(name, "windows"), False: Path(name, "none")}
        for windowed, folder in folders.items():
            _write(folder, windowed)
        rows = {
            way: _measure(folders[windowed], windowed, work, variables)
            for way, (windowed, work, variables) in track(_WAYS.items(), "ways")
        }
    table = Table("", "prompt tokens", "computed", "MB")
    for way, row in rows.items():
        table.add_row(
            way, f"{row['prompt_tokens']:,}", f"{row['computed']:,}", f"{row['peak_rss'] / 1e6:.0f}"
        )
    Console().print(table)
    arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


def _write(folder: Path, windowed: bool) -> None:
    """The model with or without windows, the same weights."""
    # The head takes two rows of the vocabulary for each component of a state.
    tiny = tiny_model.make(_SHAPE, more_tokens=2 * _SHAPE.hidden_size)
    folder.mkdir()
    content = json.loads(tiny.tokenizer.to_str())
    config = _WINDOWED if windowed else _SHAPE
    kind = gguf.GGMLQuantizationType.F16
    write_gguf(folder / "model.gguf", config, tiny.tensors, content, kind)
    assert tiny.projector
    write_projector(folder / "projector.safetensors", *tiny.projector)


def _measure(folder: Path, windowed: bool, work: Work, variables: dict[str, str]) -> dict[str, Any]:
    """Tokens of one request's prompt, those computed for it, and llama-server's most memory."""
    name = "jina-reranker-v3.5" if windowed else "jina-reranker-v3"
    settings = {"RERANKER_MODEL": name, "LLAMA_ARG_CTX_SIZE": _CONTEXT}
    settings |= {"LLAMA_ARG_ENDPOINT_METRICS": "1", "RERANKER_TIMEOUT_SECONDS": "3600"}
    request = make_request(work, tiny_model.train_tokenizer(), 1)
    with Service(folder, **(settings | variables)) as service:
        before = _computed(service)
        answer = service.rerank(query=request.query, documents=request.documents)
        return {
            "prompt_tokens": answer.raise_for_status().json()["usage"]["prompt_tokens"],
            "computed": _computed(service) - before,
            "peak_rss": peak_rss(service.llama_server.pid),
        }


def _computed(service: Service) -> int:
    with service.llama_server_client() as client:
        metrics = client.get("/metrics").text
    return int(re.findall(r"^llamacpp:prompt_tokens_total (\d+)", metrics, re.MULTILINE)[0])


if __name__ == "__main__":
    main()
