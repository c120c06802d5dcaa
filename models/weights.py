"""What is known of a model's file: which it is, and how its weights are stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gguf import LlamaFileType

from models import digest
from models.llama.gguf import GGUFError, read_header
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
        metadata = read_header(gguf).metadata if gguf else {}
        source = metadata.get(SOURCE_KEY) or (digest.sha256(gguf) if gguf else None)
    except (GGUFError, OSError):
        return Weights()
    return Weights(_quantization(metadata.get("general.file_type")), source and str(source))


def _quantization(file_type: Any) -> str | None:
    try:
        name = LlamaFileType(file_type).name
    except ValueError:
        return None
    return name.removeprefix("ALL_").removeprefix("MOSTLY_")
