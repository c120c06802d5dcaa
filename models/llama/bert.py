"""The BERT encoder of a GGUF in numpy: what llama-server should compute, for a few tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.llama.client import TokenIds
from models.llama.tensors import Floats, NotInVocabulary, Tensors, Unknown

_EMBEDDINGS = {"token_embd", "token_types", "position_embd", "token_embd_norm"}
_LAYER = ("attn_output", "attn_output_norm", "ffn_up", "ffn_down", "layer_output_norm")
_APART, _TOGETHER = ("attn_q", "attn_k", "attn_v"), ("attn_qkv",)


def first_state(path: Path, ids: TokenIds) -> Floats:
    """The last layer's state of the first of the tokens `ids`, float32 [1, hidden].

    Weights are read as they are needed, one matrix at a time. Raises `OSError`,
    `NotInVocabulary` or `Unknown`.
    """
    try:
        # What overflows here is found by not being finite.
        with np.errstate(all="ignore"):
            state = _Encoder(Tensors(path)).first_state(ids)
    except NotInVocabulary:
        raise
    except (KeyError, IndexError, ValueError, NotImplementedError) as error:
        raise Unknown(f"{path.name} cannot be computed: {error}") from error
    if not np.isfinite(state).all():
        raise Unknown(f"{path.name} makes states that are not finite numbers")
    return state


class _Encoder:
    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        if tensors.header.metadata.get("general.architecture") != "bert":
            raise ValueError("it is no BERT")
        self._layers = int(self._value("block_count"))
        self._heads = int(self._value("attention.head_count"))
        found = {name.rpartition(".")[0] for name in tensors.header.tensors}
        self._together = "blk.0.attn_qkv" in found
        layer = (*_LAYER, *(_TOGETHER if self._together else _APART))
        names = _EMBEDDINGS | {f"blk.{i}.{name}" for i in range(self._layers) for name in layer}
        # A classifier does not count: what is compared stands before it.
        if found - {"cls", "cls.output"} != names:
            raise ValueError(f"it has other tensors than a BERT: {sorted(found ^ names)}")

    def first_state(self, ids: TokenIds) -> Floats:
        rows = self._tensors.rows
        _, vocabulary = self._tensors.header.tensors["token_embd.weight"].shape
        if ids.max() >= vocabulary:
            raise NotInVocabulary(f"token {ids.max()} of {vocabulary}")
        x = rows("token_embd.weight", ids)
        x += rows("token_types.weight", np.zeros(1, np.int64))
        x += rows("position_embd.weight", np.arange(len(ids)))
        x = self._norm(x, "token_embd_norm")
        for i in range(self._layers):
            layer = f"blk.{i}."
            x = self._norm(x + self._attention(layer, x), layer + "attn_output_norm")
            inner = _gelu(self._linear(x, layer + "ffn_up"))
            x = self._norm(x + self._linear(inner, layer + "ffn_down"), layer + "layer_output_norm")
        first: Floats = x[:1]
        return first

    def _attention(self, layer: str, x: Floats) -> Floats:
        if self._together:
            parts = np.split(self._linear(x, layer + "attn_qkv"), 3, axis=-1)
        else:
            parts = [self._linear(x, layer + name) for name in _APART]
        queries, keys, values = (
            part.reshape(len(x), self._heads, -1).swapaxes(0, 1) for part in parts
        )
        weights = queries @ keys.swapaxes(1, 2) / np.float32(np.sqrt(queries.shape[-1]))
        weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        heads = (weights @ values).swapaxes(0, 1).reshape(len(x), -1)
        return self._linear(heads, layer + "attn_output")

    def _linear(self, x: Floats, name: str) -> Floats:
        product: Floats = x @ self._tensors.rows(f"{name}.weight").T
        return product + self._tensors.rows(f"{name}.bias")

    def _norm(self, x: Floats, name: str) -> Floats:
        epsilon = np.float32(self._value("attention.layer_norm_epsilon"))
        centred = x - x.mean(axis=-1, keepdims=True)
        normal = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + epsilon)
        scaled: Floats = normal * self._tensors.rows(f"{name}.weight")
        return scaled + self._tensors.rows(f"{name}.bias")

    def _value(self, name: str) -> float:
        return float(self._tensors.header.metadata[f"bert.{name}"])


def _gelu(x: Floats) -> Floats:
    """By tanh, as llama.cpp does."""
    inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3)
    gelu: Floats = x * (1 + np.tanh(inner)) / 2
    return gelu
