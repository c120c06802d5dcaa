"""Random weights in the shape of jina-reranker-v3, for timing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from models.export import Qwen3Config, write_gguf, write_projector
from tests import tiny_model

FULL = Qwen3Config(
    hidden_size=1024,
    num_hidden_layers=28,
    num_attention_heads=16,
    num_key_value_heads=8,
    head_dim=128,
    intermediate_size=3072,
)
_VOCABULARY_SIZE = 151_936


def write_model(folder: Path, config: Qwen3Config, vocabulary: Path | None) -> None:
    """Write `model.gguf` (Q8_0) and `projector.safetensors` into `folder`, unless they are there.

    The vocabulary is that of the GGUF `vocabulary`; without one, a small vocabulary filled up to
    the size of the real one, so that the output head costs the same.
    """
    if (folder / "projector.safetensors").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    tokenizer = _read_vocabulary(vocabulary) if vocabulary else _fill_vocabulary(config)
    size = len(tokenizer["model"]["vocab"]) + len(tokenizer["added_tokens"])
    tensors = tiny_model.random_tensors(config, size, random)
    kind = gguf.GGMLQuantizationType.Q8_0
    write_gguf(folder / "model.gguf", config, tensors, tokenizer, kind)
    write_projector(folder / "projector.safetensors", *tiny_model.random_projector(config, random))


def _fill_vocabulary(config: Qwen3Config) -> dict[str, Any]:
    tokenizer = tiny_model.tokenizer_content()
    if config is FULL:
        used = len(tokenizer["model"]["vocab"]) + len(tokenizer["added_tokens"])
        fillers = {f"<unused{i}>": i for i in range(used, _VOCABULARY_SIZE)}
        tokenizer["model"]["vocab"] |= fillers
    return tokenizer


def _read_vocabulary(path: Path) -> dict[str, Any]:
    """The vocabulary of a GGUF of Qwen2 or Qwen3, as the content of a `tokenizer.json`."""
    fields = gguf.GGUFReader(path).fields
    texts: list[str] = fields["tokenizer.ggml.tokens"].contents()
    types: list[int] = fields["tokenizer.ggml.token_type"].contents()
    merges: list[str] = fields["tokenizer.ggml.merges"].contents()
    # Where jina-reranker-v3 has its own, Qwen2 has unused tokens.
    texts[151_670], texts[151_671] = "<|embed_token|>", "<|rerank_token|>"
    types[151_670] = types[151_671] = gguf.TokenType.CONTROL
    special = {i for i, kind in enumerate(types) if kind == gguf.TokenType.CONTROL}
    return {
        "added_tokens": [{"id": i, "content": texts[i], "special": True} for i in special],
        "model": {
            "vocab": {text: i for i, text in enumerate(texts) if i not in special},
            "merges": merges,
        },
    }
