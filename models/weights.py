"""What is known of a model's file: which it is, and how its weights are stored."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gguf import LlamaFileType

from models import digest
from models.llama.gguf import KINDS, GGUFError, GGUFHeader, read_header
from models.llama.head import HEAD
from models.prepare import SOURCE_KEY


@dataclass(frozen=True)
class Weights:
    """The quantization of a GGUF and the SHA-256 of what was published, if they are known."""

    quantization: str | None = None
    sha256: str | None = None


@lru_cache(maxsize=1)
def weights_of(gguf: Path | None) -> Weights:
    """The weights of a file, which may be a prepared copy; nothing of one that cannot be read.

    Reads the whole file the first time, unless it is a copy or its hash is remembered.
    """
    try:
        if gguf is None:
            return Weights()
        header = read_header(gguf)
        source = header.metadata.get(SOURCE_KEY) or digest.sha256(gguf)
    except (GGUFError, OSError):
        return Weights()
    return Weights(_quantization(header), str(source))


def _quantization(header: GGUFHeader) -> str:
    """The file type that the header names, or else the type of most of its bytes."""
    file_type: Any = header.metadata.get("general.file_type")
    try:
        name = LlamaFileType(file_type).name
    except ValueError:
        return _commonest(header)
    return name.removeprefix("ALL_").removeprefix("MOSTLY_")


def _commonest(header: GGUFHeader) -> str:
    bytes_of: Counter[int] = Counter()
    for name, tensor in header.tensors.items():
        # A prepared copy has a head of its own.
        if name != HEAD:
            bytes_of[tensor.kind] += tensor.size
    ((number, _),) = bytes_of.most_common(1)
    return next(name for name, kind in KINDS.items() if kind.number == number)
