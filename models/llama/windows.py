"""Layers that attend to the last tokens alone, and what a GGUF says for llama.cpp to know them.

llama.cpp's `qwen3` ignores them. Its `step35` is the same network with them: pre-norm, a norm of
queries and keys by head before they are rotated, SwiGLU, a window by layer; gate, experts and the
prediction of further tokens are optional tensors there, `output.weight` is not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.llama import metadata
from models.llama.gguf import GGUFError, GGUFHeader, read_header

PLAIN, WINDOWED = "qwen3", "step35"
CONFIG = "config.json"

_ARCHITECTURE = "general.architecture"
_SIZE, _PATTERN = "attention.sliding_window", "attention.sliding_window_pattern"
# What `layer_types` of a configuration call a layer, and whether it is windowed.
_LAYERS = {"sliding_attention": True, "full_attention": False}


@dataclass(frozen=True)
class Windows:
    """A token attends to `size` tokens, itself among them, in layers where `pattern` is true."""

    size: int
    pattern: tuple[bool, ...]

    @classmethod
    def of(cls, gguf: Path) -> Windows | None:
        """Those of the file, or of the `config.json` beside it; None: every layer attends to all.

        Raises `GGUFError` if they are not whole, contradict each other or cannot be computed, and
        `OSError`.
        """
        header, config = read_header(gguf), gguf.with_name(CONFIG)
        told = cls.of_config(config) if config.is_file() else None
        if _size(header) and (_pattern(header) is not None or not config.is_file()):
            found = cls.of_header(header)
            if config.is_file() and told != found:
                raise GGUFError(f"{header.name} has {found or 'none'}, {config} {told or 'none'}")
            return found
        if told and _size(header) not in (0, told.size):
            raise GGUFError(
                f"{header.name} has windows of {_size(header):,} tokens, {config} {told}"
            )
        return told.checked(header) if told else None

    @classmethod
    def of_header(cls, header: GGUFHeader) -> Windows | None:
        """Those that the metadata tell of; raises `GGUFError` as `of` does."""
        size, pattern = _size(header), _pattern(header)
        if not size:
            return None
        if pattern is None:
            raise GGUFError(
                f"{header.name} has windows of {size:,} tokens and no {_PATTERN}, which tells in "
                f"which layers; put the model's {CONFIG} beside it"
            )
        windows = cls(size, pattern)
        return windows.checked(header) if any(pattern) else None

    @classmethod
    def of_config(cls, path: Path) -> Windows | None:
        """Those of a model's configuration, as Transformers writes it; raises `GGUFError`."""
        try:
            config = json.loads(path.read_bytes())
            types, size = config.get("layer_types"), config.get("sliding_window")
            used = config.get("use_sliding_window", bool(size))
            pattern = tuple(_LAYERS[kind] for kind in types or ())
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise GGUFError(f"{path} is no configuration of such a model: {error!r:.80}") from error
        if not any(pattern) and not (used and size):
            return None
        if not used or type(size) is not int or size < 1:
            raise GGUFError(f"{path} has layers with windows, and sliding_window is {size!r:.40}")
        if not pattern:
            raise GGUFError(f"{path} has windows of {size:,} tokens and no layer_types")
        return cls(size, pattern) if any(pattern) else None

    def checked(self, header: GGUFHeader) -> Windows:
        """Itself, if the model of `header` can have them; else raises `GGUFError`."""
        layers = header.number("block_count")
        if len(self.pattern) != layers:
            raise GGUFError(
                f"{header.name} has {layers} layers, and windows are told of {len(self.pattern)}"
            )
        if self.pattern[-1]:
            raise GGUFError(
                f"{header.name} is not served: its last layer, which is read, has a window"
            )
        scaled = [key for key in header.metadata if ".rope.scaling." in key]
        if scaled:
            raise GGUFError(f"{header.name} is not served: {scaled[0]} beside windows")
        return self

    def __str__(self) -> str:
        layers = ", ".join(str(i) for i, windowed in enumerate(self.pattern) if windowed)
        return f"windows of {self.size:,} tokens in the layers {layers}"

    def pairs(self, header: GGUFHeader, content: bytes, architecture: str) -> list[bytes]:
        """The pairs of `header`, which are `content`, for a llama.cpp that has `architecture`."""
        ours = self._ours(header, architecture)
        kept = []
        for key, (start, end) in header.pairs.items():
            pair = content[start - header.metadata_start : end - header.metadata_start]
            name = _renamed(key, architecture)
            if name not in ours:
                kept.append(metadata.string(name) + pair[len(metadata.string(key)) :])
        return kept + [metadata.pair(*pair) for pair in ours.items()]

    def _ours(self, header: GGUFHeader, architecture: str) -> dict[str, metadata.Value]:
        pairs: dict[str, metadata.Value] = {_SIZE: self.size, _PATTERN: self.pattern}
        if architecture == WINDOWED:
            hidden, heads = (
                header.number(name) for name in ("embedding_length", "attention.head_count")
            )
            head = header.number("attention.key_length", hidden // heads)
            base = header.metadata.get(f"{PLAIN}.rope.freq_base")
            pairs |= {
                # Layers without a window rotate half of it.
                "rope.dimension_count": 2 * head,
                "rope.dimension_count_swa": head,
                # Asked for, and used for experts alone.
                "expert_feed_forward_length": header.number("feed_forward_length"),
            }
            pairs |= {"rope.freq_base_swa": float(base)} if base else {}
        named = {f"{architecture}.{name}": value for name, value in pairs.items()}
        return {_ARCHITECTURE: architecture} | named


def _renamed(key: str, architecture: str) -> str:
    prefix = f"{PLAIN}."
    return f"{architecture}.{key.removeprefix(prefix)}" if key.startswith(prefix) else key


def _value(header: GGUFHeader, name: str) -> Any:
    return header.metadata.get(f"{header.metadata.get(_ARCHITECTURE)}.{name}")


def _size(header: GGUFHeader) -> int:
    """Tokens of a window, 0 if there is none."""
    return header.number(_SIZE) if _value(header, _SIZE) else 0


def _pattern(header: GGUFHeader) -> tuple[bool, ...] | None:
    pattern = _value(header, _PATTERN)
    if pattern is None:
        return None
    if not isinstance(pattern, np.ndarray) or not np.isin(pattern, (0, 1)).all():
        raise GGUFError(f"{header.name} is damaged: {_PATTERN} is no list of yes and no by layer")
    return tuple(map(bool, pattern))
