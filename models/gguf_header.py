"""The header of a GGUF file: metadata and tensor descriptions, in a fraction of a second.

The `gguf` package makes an object of every token of the vocabulary: 10 s and 500 MB for a
vocabulary of 151,936, too much at every start.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
# GGUF value type → numpy dtype, little-endian.
_SCALARS: dict[int, np.dtype[Any]] = {
    0: np.dtype("u1"),
    1: np.dtype("i1"),
    2: np.dtype("<u2"),
    3: np.dtype("<i2"),
    4: np.dtype("<u4"),
    5: np.dtype("<i4"),
    6: np.dtype("<f4"),
    7: np.dtype("?"),
    10: np.dtype("<u8"),
    11: np.dtype("<i8"),
    12: np.dtype("<f8"),
}
_DEFAULT_ALIGNMENT = 32


class Kind(NamedTuple):
    """A type of ggml: its number, and the elements and bytes of one of its blocks."""

    number: int
    elements: int
    bytes: int


KINDS = {
    "F32": Kind(0, 1, 4),
    "F16": Kind(1, 1, 2),
    "Q4_0": Kind(2, 32, 18),
    "Q4_1": Kind(3, 32, 20),
    "Q5_0": Kind(6, 32, 22),
    "Q5_1": Kind(7, 32, 24),
    "Q8_0": Kind(8, 32, 34),
    "Q2_K": Kind(10, 256, 84),
    "Q3_K": Kind(11, 256, 110),
    "Q4_K": Kind(12, 256, 144),
    "Q5_K": Kind(13, 256, 176),
    "Q6_K": Kind(14, 256, 210),
    "IQ2_XXS": Kind(16, 256, 66),
    "IQ2_XS": Kind(17, 256, 74),
    "IQ3_XXS": Kind(18, 256, 98),
    "IQ1_S": Kind(19, 256, 50),
    "IQ4_NL": Kind(20, 32, 18),
    "IQ3_S": Kind(21, 256, 110),
    "IQ2_S": Kind(22, 256, 82),
    "IQ4_XS": Kind(23, 256, 136),
    "IQ1_M": Kind(29, 256, 56),
    "BF16": Kind(30, 1, 2),
}
_KINDS_BY_NUMBER = {kind.number: kind for kind in KINDS.values()}


class GGUFError(ValueError):
    """The file is not a GGUF that this module can read."""


@dataclass(frozen=True)
class Tensor:
    """A tensor: `shape` fastest dimension first, `kind` ggml's type, `offset` into the data."""

    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def size(self) -> int:
        """Bytes of the data; 0 where the type is not among `KINDS`."""
        if self.kind not in _KINDS_BY_NUMBER:
            return 0
        _, elements, size = _KINDS_BY_NUMBER[self.kind]
        return math.prod(self.shape) // elements * size


@dataclass(frozen=True)
class GGUFHeader:
    """What stands before the data of a GGUF; offsets are bytes from the start of the file.

    `metadata` has scalars, strings and numeric arrays; arrays of strings are left out.
    """

    metadata: dict[str, Any]
    metadata_count: int
    tensors: dict[str, Tensor]
    metadata_start: int
    tensors_start: int
    tensors_end: int
    alignment: int

    @property
    def data_start(self) -> int:
        """Where tensor data starts."""
        return align(self.tensors_end, self.alignment)

    @property
    def file_size(self) -> int:
        """Bytes that the file has at least if no tensor is cut off."""
        ends = (tensor.offset + tensor.size for tensor in self.tensors.values())
        return self.data_start + max(ends, default=0)


def align(size: int, alignment: int) -> int:
    """`size` rounded up to a multiple of `alignment`."""
    return -(-size // alignment) * alignment


def read_header(path: Path) -> GGUFHeader:
    """Read the header of `path`; raises `GGUFError` if it is not a whole GGUF header."""
    with path.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _Cursor(content).header()
        except (struct.error, ValueError, KeyError, ArithmeticError, MemoryError) as error:
            raise GGUFError(f"{path.name} is not a GGUF file, or is cut off: {error}") from error


class _Cursor:
    """A position in the bytes of a header."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._position = 0

    def header(self) -> GGUFHeader:
        magic, version, tensor_count, metadata_count = self._unpack("<4sIQQ")
        if magic != _MAGIC or version not in _VERSIONS:
            raise GGUFError(f"magic {magic!r}, version {version}")
        metadata_start = self._position
        metadata = dict(self._pair() for _ in range(metadata_count))
        tensors_start = self._position
        tensors = dict(self._tensor() for _ in range(tensor_count))
        return GGUFHeader(
            metadata={key: value for key, value in metadata.items() if value is not None},
            metadata_count=metadata_count,
            tensors=tensors,
            metadata_start=metadata_start,
            tensors_start=tensors_start,
            tensors_end=self._position,
            alignment=int(metadata.get("general.alignment", _DEFAULT_ALIGNMENT)),
        )

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(layout, self._content, self._position)
        self._position += struct.calcsize(layout)
        return values

    def _string(self) -> str:
        (length,) = self._unpack("<Q")
        (text,) = self._unpack(f"<{length}s")
        return str(text, "utf-8")

    def _pair(self) -> tuple[str, Any]:
        key = self._string()
        (kind,) = self._unpack("<I")
        if kind == _STRING:
            return key, self._string()
        if kind != _ARRAY:
            return key, self._numbers(kind, 1)[0].item()
        kind, count = self._unpack("<IQ")
        if kind == _STRING:
            self._skip_strings(count)
            return key, None
        return key, self._numbers(kind, count)

    def _numbers(self, kind: int, count: int) -> NDArray[Any]:
        dtype = _SCALARS[kind]
        stored: NDArray[Any] = np.frombuffer(self._content, dtype, count, self._position)
        numbers = stored.copy()
        self._position += numbers.nbytes
        return numbers

    def _skip_strings(self, count: int) -> None:
        position, length_at = self._position, struct.Struct("<Q").unpack_from
        for _ in range(count):
            position += 8 + length_at(self._content, position)[0]
        self._position = position

    def _tensor(self) -> tuple[str, Tensor]:
        name = self._string()
        (dimensions,) = self._unpack("<I")
        shape = self._unpack(f"<{dimensions}Q")
        kind, offset = self._unpack("<IQ")
        return name, Tensor(shape, kind, offset)
