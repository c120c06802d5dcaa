"""The Qwen3 transformer of a GGUF in numpy: what llama-server should compute, for a few tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.llama.client import TokenIds
from models.llama.gguf import GGUFHeader
from models.llama.head import HEAD_KEY
from models.llama.tensors import Floats, NotInVocabulary, Tensors, Unknown
from models.llama.windows import PLAIN, WINDOWED, Windows

_LAYER_TENSORS = (
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_q_norm", "attn_k_norm", "attn_output"),
    *("ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
)

_HEADS = {"output", "cls.output"}


def contradicts(header: GGUFHeader, windows: bool = False) -> str | None:
    """Why llama.cpp would not compute the model of this header; None if it may.

    A model may have `windows` if these are seen to. Its prepared copy is one, too.
    """
    architecture = header.metadata.get("general.architecture")
    copied = architecture == WINDOWED and HEAD_KEY in header.metadata
    if architecture != PLAIN and not copied:
        return f"its architecture is {architecture!r}, not {PLAIN}"
    if not windows and header.metadata.get(f"{architecture}.attention.sliding_window"):
        return f"its layers attend through a sliding window, which llama.cpp's {PLAIN} ignores"
    return None


def hidden_states(path: Path, ids: TokenIds) -> Floats:
    """Hidden states of the prompt `ids` after the final norm, float32 [tokens, hidden].

    Weights are read as they are needed, one matrix at a time. Raises `OSError`,
    `NotInVocabulary` or `Unknown`.
    """
    try:
        # What overflows here is found by not being finite.
        with np.errstate(all="ignore"):
            states = _Transformer(path).states(ids)
    except NotInVocabulary:
        raise
    except (KeyError, IndexError, ValueError, NotImplementedError) as error:
        raise Unknown(f"{path.name} cannot be computed: {error}") from error
    if not np.isfinite(states).all():
        raise Unknown(f"{path.name} makes states that are not finite numbers")
    return states


class _Transformer:
    """The weights of one GGUF, mapped into memory."""

    def __init__(self, path: Path) -> None:
        self._tensors = Tensors(path)
        self._header = header = self._tensors.header
        self._architecture = header.metadata.get("general.architecture")
        if self._architecture not in (PLAIN, WINDOWED):
            raise Unknown(f"{path.name} is no Qwen3")
        self._windows = Windows.of_header(header)
        self._layers = int(self._value("block_count"))
        names = {"token_embd", "output_norm"}
        names |= {f"blk.{i}.{name}" for i in range(self._layers) for name in _LAYER_TENSORS}
        # What makes logits or labels of states does not count: what is compared stands before it.
        found = {name.removesuffix(".weight") for name in header.tensors} - _HEADS
        if found != names:
            raise Unknown(f"{path.name} has other tensors than a Qwen3: {sorted(found ^ names)}")
        if any(".rope.scaling." in key for key in header.metadata):
            raise Unknown(f"{path.name} scales its positions")

    def states(self, ids: TokenIds) -> Floats:
        _, vocabulary = self._header.tensors["token_embd.weight"].shape
        if ids.max() >= vocabulary:
            raise NotInVocabulary(f"token {ids.max()} of {vocabulary}")
        x = self._rows("token_embd", ids)
        positions = np.arange(len(ids))
        hidden = positions[:, None] < positions
        for i in range(self._layers):
            unseen = hidden
            if self._windows and self._windows.pattern[i]:
                unseen = hidden | (positions[:, None] - positions >= self._windows.size)
            normal = self._norm(x, f"blk.{i}.attn_norm")
            x += self._attention(f"blk.{i}.", normal, positions, unseen)
            normal = self._norm(x, f"blk.{i}.ffn_norm")
            gate = self._times(normal, f"blk.{i}.ffn_gate")
            gate /= 1 + np.exp(-gate)
            x += self._times(gate * self._times(normal, f"blk.{i}.ffn_up"), f"blk.{i}.ffn_down")
        return self._norm(x, "output_norm")

    def _attention(
        self, layer: str, x: Floats, positions: NDArray[np.int64], unseen: NDArray[np.bool_]
    ) -> Floats:
        tokens = len(x)
        size = int(self._value("attention.key_length"))
        queries, keys, values = (
            self._times(x, f"{layer}attn_{name}").reshape(tokens, -1, size).swapaxes(0, 1)
            for name in "qkv"
        )
        queries = self._rotate(self._norm(queries, f"{layer}attn_q_norm"), positions)
        keys = self._rotate(self._norm(keys, f"{layer}attn_k_norm"), positions)
        groups = len(queries) // len(keys)
        keys, values = keys.repeat(groups, axis=0), values.repeat(groups, axis=0)
        weights = queries @ keys.swapaxes(1, 2) / np.sqrt(size).astype(np.float32)
        weights[:, unseen] = -np.inf
        weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        heads = (weights @ values).swapaxes(0, 1).reshape(tokens, -1)
        return self._times(heads, f"{layer}attn_output")

    def _rotate(self, heads: Floats, positions: NDArray[np.int64]) -> Floats:
        half = heads.shape[-1] // 2
        steps = float(self._value("rope.freq_base")) ** (-np.arange(half) / half)
        angles = positions[:, None] * steps
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        first, second = heads[..., :half], heads[..., half:]
        return np.concatenate((first * cos - second * sin, first * sin + second * cos), axis=-1)

    def _norm(self, x: Floats, name: str) -> Floats:
        epsilon = np.float32(self._value("attention.layer_norm_rms_epsilon"))
        scale: Floats = np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + epsilon)
        normal: Floats = x / scale * self._rows(name)[0]
        return normal

    def _times(self, x: Floats, name: str) -> Floats:
        product: Floats = x @ self._rows(name).T
        return product

    def _rows(self, name: str, rows: NDArray[np.int64] | slice = slice(None)) -> Floats:
        return self._tensors.rows(f"{name}.weight", rows)

    def _value(self, name: str) -> float:
        return float(self._header.metadata[f"{self._architecture}.{name}"])
