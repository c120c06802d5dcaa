"""GGUF files of a test's own making, byte for byte, as the specification writes them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

HIDDEN, TOKENS = 8, 40
_ALIGNMENT = 32


@dataclass
class Tensor:
    """Name, shape, ggml's type, data; `offset` where it is not that of the data."""

    name: str
    shape: tuple[int, ...]
    data: bytes
    kind: int = 0
    offset: int | None = None


def string(text: str | bytes) -> bytes:
    encoded = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(encoded)) + encoded


def value(content: Any) -> bytes:
    """A typed value: a string, an uint32, floats, or bytes that are one already."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return struct.pack("<I", 8) + string(content)
    if isinstance(content, int):
        return struct.pack("<II", 4, content)
    return struct.pack("<IIQ", 9, 6, len(content)) + np.asarray(content, "<f4").tobytes()


def _qwen3() -> dict[str, Any]:
    sizes = {
        "block_count": 1,
        "context_length": 64,
        "embedding_length": HIDDEN,
        "attention.head_count": 1,
        "attention.head_count_kv": 1,
        "attention.key_length": 8,
        "attention.value_length": 8,
    }
    return {"general.architecture": "qwen3"} | {f"qwen3.{key}": n for key, n in sizes.items()}


def _tensors() -> dict[str, Tensor]:
    random = np.random.default_rng(0)
    embeddings = random.random((TOKENS, HIDDEN), np.float32)
    norm = random.random(HIDDEN, np.float32) + 1
    return {
        "embeddings": Tensor("token_embd.weight", (HIDDEN, TOKENS), embeddings.tobytes()),
        "norm": Tensor("output_norm.weight", (HIDDEN,), norm.tobytes()),
    }


@dataclass
class Gguf:
    """The smallest GGUF that can be prepared; every part can be spoiled."""

    metadata: dict[str, Any] = field(default_factory=_qwen3)
    tensors: dict[str, Tensor] = field(default_factory=_tensors)
    magic: bytes = b"GGUF"
    version: int = 3
    metadata_count: int | None = None
    tensor_count: int | None = None
    twice: bool = False

    def header(self) -> bytes:
        pairs = [string(key) + value(content) for key, content in self.metadata.items()]
        tensors = list(self.tensors.values())
        infos, offset = [], 0
        for tensor in tensors:
            given = offset if tensor.offset is None else tensor.offset
            infos.append(
                string(tensor.name)
                + struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
                + struct.pack("<IQ", tensor.kind, given)
            )
            offset += _padded(len(tensor.data))
        if self.twice:
            pairs.append(pairs[-1])
        counts = [
            len(infos) if self.tensor_count is None else self.tensor_count,
            len(pairs) if self.metadata_count is None else self.metadata_count,
        ]
        return struct.pack("<4sIQQ", self.magic, self.version, *counts) + b"".join(pairs + infos)

    def content(self) -> bytes:
        header = self.header()
        data = b"".join(
            tensor.data + bytes(_padded(len(tensor.data)) - len(tensor.data))
            for tensor in self.tensors.values()
        )
        return header + bytes(_padded(len(header)) - len(header)) + data


def gguf_of(data: bytes) -> bytes:
    """A whole GGUF of one tensor, which holds `data`, a multiple of 32 bytes."""
    return Gguf(metadata={}, tensors={"a": Tensor("a", (len(data),), data, kind=24)}).content()


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
