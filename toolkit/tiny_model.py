"""A small random reranker of the real architecture: same prompt, same files, same code path."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

import toolkit.tokenizer
from toolkit.export import Qwen3Config, write_gguf, write_projector

CONFIG = Qwen3Config(
    hidden_size=64,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    intermediate_size=128,
)
# Windows much smaller than a prompt, in layers without any order.
_SLIDING, _FULL = "sliding_attention", "full_attention"
WINDOWED = replace(
    CONFIG,
    num_hidden_layers=4,
    use_sliding_window=True,
    sliding_window=48,
    layer_types=[_FULL, _SLIDING, _SLIDING, _FULL],
)
_VOCABULARY_SIZE = 800
_CORPUS = [
    "You are a search relevance expert who can determine a ranking of the passages.",
    "I will provide you with passages, each indicated by a numerical identifier.",
    'Rank the passages based on their relevance to query: <passage id="0">\n</passage>\n<query>',
    "내일 오후 2시에 품질 미팅이 있습니다. 오늘 점심은 김치찌개를 먹었다. 내일 회의 일정",
    "الاجتماع غدا في الساعة الثانية بعد الظهر",
    "The kitchen serves soup at noon, and the meeting about quality starts at two.",
]
# Of a model that answers yes or no: no marker after texts, and thoughts are no special tokens.
_TURNS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_THOUGHTS = ("<think>", "</think>")
_ANSWERS = [
    'Judge whether the Document meets the requirements. The answer can only be "yes" or "no".',
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query",
    "<Query>: soup\n<Document>: noon",
    *["yes", "no"] * 50,
]


@dataclass(frozen=True)
class TinyModel:
    """Weights (float32, Hugging Face names), projector matrices and tokenizer of one model."""

    config: Qwen3Config
    tensors: dict[str, NDArray[np.float32]]
    projector: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    tokenizer: Tokenizer

    def write(self, folder: Path) -> None:
        """Write `model.gguf`, and `projector.safetensors` if there is one, into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer: dict[str, Any] = json.loads(self.tokenizer.to_str())
        write_gguf(folder / "model.gguf", self.config, self.tensors, tokenizer)
        if self.projector:
            write_projector(folder / "projector.safetensors", *self.projector)


def train_tokenizer() -> Tokenizer:
    """A vocabulary out of a few sentences."""
    return toolkit.tokenizer.train_tokenizer(_CORPUS, _VOCABULARY_SIZE)


def tokenizer_content() -> dict[str, Any]:
    """The content of the `tokenizer.json` of `train_tokenizer`."""
    content: dict[str, Any] = json.loads(train_tokenizer().to_str())
    return content


def make(config: Qwen3Config = CONFIG, seed: int = 0, more_tokens: int = 0) -> TinyModel:
    """Draw a model from `seed`; its vocabulary has so many `more_tokens` that nothing makes."""
    tokenizer = train_tokenizer()
    tokenizer.add_special_tokens([f"<|unused_{i}|>" for i in range(more_tokens)])
    random = np.random.default_rng(seed)
    tensors = random_tensors(config, tokenizer.get_vocab_size(), random)
    return TinyModel(config, tensors, random_projector(config, random), tokenizer)


def make_yes_no(config: Qwen3Config = CONFIG, seed: int = 0) -> TinyModel:
    """Draw a model that answers yes or no from `seed`; it has no projector."""
    tokenizer = toolkit.tokenizer.train_tokenizer([*_CORPUS, *_ANSWERS], _VOCABULARY_SIZE, _TURNS)
    tokenizer.add_tokens(list(_THOUGHTS))
    random = np.random.default_rng(seed)
    tensors = random_tensors(config, tokenizer.get_vocab_size(), random)
    return TinyModel(config, tensors, None, tokenizer)


def random_tensors(
    config: Qwen3Config, vocabulary_size: int, random: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Weights of a transformer, so wide that its states depend on every token."""
    hidden, head = config.hidden_size, config.head_dim
    queries = config.num_attention_heads * head
    keys = config.num_key_value_heads * head

    def norm(size: int) -> NDArray[np.float32]:
        return random.uniform(0.5, 1.5, size).astype(np.float32)

    tensors = {"model.embed_tokens.weight": _matrix(random, vocabulary_size, hidden)}
    for i in range(config.num_hidden_layers):
        layer = f"model.layers.{i}."
        tensors |= {
            layer + "input_layernorm.weight": norm(hidden),
            layer + "self_attn.q_proj.weight": _matrix(random, queries, hidden, 2.0),
            layer + "self_attn.k_proj.weight": _matrix(random, keys, hidden, 2.0),
            layer + "self_attn.v_proj.weight": _matrix(random, keys, hidden),
            layer + "self_attn.o_proj.weight": _matrix(random, hidden, queries),
            layer + "self_attn.q_norm.weight": norm(head),
            layer + "self_attn.k_norm.weight": norm(head),
            layer + "post_attention_layernorm.weight": norm(hidden),
            layer + "mlp.gate_proj.weight": _matrix(random, config.intermediate_size, hidden),
            layer + "mlp.up_proj.weight": _matrix(random, config.intermediate_size, hidden),
            layer + "mlp.down_proj.weight": _matrix(random, hidden, config.intermediate_size),
        }
    tensors["model.norm.weight"] = norm(hidden)
    return tensors


def random_projector(
    config: Qwen3Config, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Matrices of a projector, half as wide as the hidden states, as the published one."""
    size = config.hidden_size // 2
    return _matrix(random, size, config.hidden_size), _matrix(random, size, size)


def _matrix(
    random: np.random.Generator, rows: int, columns: int, gain: float = 1.0
) -> NDArray[np.float32]:
    values: NDArray[np.float32] = random.standard_normal((rows, columns), np.float32)
    return values * np.float32(gain / np.sqrt(columns))
