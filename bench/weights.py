"""Random weights in the shape of jina-reranker-v3, for timing."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tokenizers import Tokenizer

from toolkit import tiny_model
from toolkit.export import Qwen3Config, write_gguf, write_projector

FULL = Qwen3Config(
    hidden_size=1024,
    num_hidden_layers=28,
    num_attention_heads=16,
    num_key_value_heads=8,
    head_dim=128,
    intermediate_size=3072,
)
_VOCABULARY_SIZE = 151_936


def write_model(
    folder: Path, config: Qwen3Config, vocabulary: Path | None, quantization: str
) -> Tokenizer:
    """Write `model.gguf`, projector, configuration and tokenizer, unless they are there.

    The vocabulary is that of the GGUF `vocabulary`; without one, a small vocabulary filled up to
    the size of the real one, so that the output head costs the same.
    """
    path = folder / "tokenizer.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        content = tiny_model.tokenizer_content()
        if vocabulary:
            _take_vocabulary(content, vocabulary)
        elif config is FULL:
            _fill_vocabulary(content)
        random = np.random.default_rng(0)
        names = content["model"]["vocab"].keys() | {t["content"] for t in content["added_tokens"]}
        tensors = tiny_model.random_tensors(config, len(names), random)
        kind = gguf.GGMLQuantizationType[quantization]
        write_gguf(folder / "model.gguf", config, tensors, content, kind)
        projector = tiny_model.random_projector(config, random)
        write_projector(folder / "projector.safetensors", *projector)
        (folder / "config.json").write_text(json.dumps(asdict(config)))
        path.write_text(json.dumps(content))
    tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    return tokenizer


def _fill_vocabulary(content: dict[str, Any]) -> None:
    vocabulary = content["model"]["vocab"]
    vocabulary |= {token["content"]: token["id"] for token in content["added_tokens"]}
    vocabulary |= {f"<unused{i}>": i for i in range(len(vocabulary), _VOCABULARY_SIZE)}


def _take_vocabulary(content: dict[str, Any], path: Path) -> None:
    """Take the vocabulary of a GGUF of Qwen2 or Qwen3."""
    fields = gguf.GGUFReader(path).fields
    texts: list[str] = fields["tokenizer.ggml.tokens"].contents()
    types: list[int] = fields["tokenizer.ggml.token_type"].contents()
    merges: list[str] = fields["tokenizer.ggml.merges"].contents()
    # Where jina-reranker-v3 has its own, Qwen2 has unused tokens.
    texts[151_670], texts[151_671] = "<|embed_token|>", "<|rerank_token|>"
    types[151_670] = types[151_671] = gguf.TokenType.CONTROL
    special = content["added_tokens"][0]
    content["added_tokens"] = [
        special | {"id": i, "content": texts[i]}
        for i, kind in enumerate(types)
        if kind == gguf.TokenType.CONTROL
    ]
    content["model"] |= {"vocab": {text: i for i, text in enumerate(texts)}, "merges": merges}
