"""The tensors of a GGUF as float32, read from the file as they are needed."""

from __future__ import annotations

import math
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from models.llama.gguf import GGUFHeader, read_header

Floats = NDArray[np.float32]


class NotInVocabulary(ValueError):
    """A token id is none of the GGUF's."""


class Unknown(ValueError):
    """The GGUF holds something that cannot be computed without llama-server."""


class Tensors:
    """The weights of one GGUF, mapped into memory.

    Raises `GGUFError` if the file is not whole, `OSError` if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.header: GGUFHeader = read_header(path)
        self._data = np.asarray(np.memmap(path, np.uint8, "r"))

    def rows(self, name: str, rows: NDArray[np.int64] | slice = slice(None)) -> Floats:
        """Rows of the tensor `name`, float32 [rows, columns]; a vector is one row.

        Raises `KeyError` if there is no such tensor, `IndexError` if there is no such row,
        `ValueError` or `NotImplementedError` if its type is not known.
        """
        tensor = self.header.tensors[name]
        kind = gguf.GGMLQuantizationType(tensor.kind)
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        columns, *_ = tensor.shape
        row_bytes = columns // elements * size
        start = self.header.data_start + tensor.offset
        stored = self._data[start : start + math.prod(tensor.shape[1:]) * row_bytes]
        values: Floats = gguf.dequantize(stored.reshape(-1, row_bytes)[rows], kind)
        return values
