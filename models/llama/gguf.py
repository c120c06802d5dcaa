"""The header of a GGUF file: metadata and tensor descriptions, in a fraction of a second.

It is read as strictly as llama.cpp reads it, and more so: a file that is cut off or has bytes
behind its last tensor is refused.

The `gguf` package makes an object of every token of the vocabulary: 10 s and 500 MB for a
vocabulary of 151,936, too much at every start.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

_T = TypeVar("_T")
# Shape, type and offset of a tensor as they are written.
_Description = tuple[tuple[int, ...], int, int]

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
_ALIGNMENT = "general.alignment"
_DEFAULT_ALIGNMENT = 32
_EMBEDDINGS = "token_embd.weight"
# ggml's own limit.
_MOST_DIMENSIONS = 4
# Above any vocabulary: more would only keep us busy.
_MOST_STRINGS = 2**23


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
    "I8": Kind(24, 1, 1),
    "I16": Kind(25, 1, 2),
    "I32": Kind(26, 1, 4),
    "I64": Kind(27, 1, 8),
    "F64": Kind(28, 1, 8),
    "IQ1_M": Kind(29, 256, 56),
    "BF16": Kind(30, 1, 2),
    "TQ1_0": Kind(34, 256, 54),
    "TQ2_0": Kind(35, 256, 66),
    "MXFP4": Kind(39, 32, 17),
    "NVFP4": Kind(40, 64, 36),
    "Q1_0": Kind(41, 128, 18),
}
_KINDS_BY_NUMBER = {kind.number: kind for kind in KINDS.values()}


class GGUFError(ValueError):
    """The file is not a whole GGUF of a model that can be served; one sentence."""


@dataclass(frozen=True)
class Tensor:
    """A tensor: `shape` fastest dimension first, `kind` ggml's type.

    `size` bytes, `offset` after the start of the data.
    """

    shape: tuple[int, ...]
    kind: int
    offset: int
    size: int


@dataclass(frozen=True)
class GGUFHeader:
    """What stands before the data of the file `name`; offsets are bytes from its start.

    `metadata` has scalars, strings and numeric arrays. Of arrays of strings, `strings` has where
    each begins and how many it holds; `read_strings` reads one. `pairs` has where each key with its
    value begins and ends. Tensors stand in the order of their data.
    """

    name: str
    metadata: dict[str, Any]
    strings: dict[str, tuple[int, int]]
    pairs: dict[str, tuple[int, int]]
    tensors: dict[str, Tensor]
    metadata_start: int
    tensors_start: int
    tensors_end: int
    alignment: int

    @property
    def data_start(self) -> int:
        """Where tensor data starts."""
        return align(self.tensors_end, self.alignment)

    def tensor(self, name: str) -> Tensor:
        """Raises `GGUFError` if there is none of that name."""
        if name not in self.tensors:
            raise GGUFError(f"{self.name} has no {name}: is it no model that ranks?")
        return self.tensors[name]

    def number(self, name: str, default: int | None = None) -> int:
        """The metadata `name` of the architecture; raises `GGUFError` unless it is 1 or more."""
        key = f"{self.metadata.get('general.architecture')}.{name}"
        value = self.metadata.get(key, default)
        if value is None:
            raise GGUFError(f"{self.name} has no {key!r:.60}: is it no model that ranks?")
        if type(value) is not int or value < 1:
            raise GGUFError(f"{self.name} is damaged: {key!r:.60} is {value!r:.40}")
        return value

    @property
    def vocabulary(self) -> int:
        """Tokens that the embeddings hold; raises `GGUFError` if they do not fit the model."""
        shape, hidden_size = self.tensor(_EMBEDDINGS).shape, self.number("embedding_length")
        if len(shape) != 2 or shape[0] != hidden_size:
            raise GGUFError(
                f"{self.name} is damaged: {_EMBEDDINGS} has the shape {shape} for a hidden size "
                f"of {hidden_size}"
            )
        return shape[1]


def align(size: int, alignment: int) -> int:
    """`size` rounded up to a multiple of `alignment`."""
    return -(-size // alignment) * alignment


def read_strings(path: Path, key: str) -> list[str]:
    """The array of strings in the metadata, empty if there is none; raises as `read_header`."""
    start, count = read_header(path).strings.get(key, (0, 0))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _Cursor(content, path.name, start).strings(count)


def read_header(path: Path) -> GGUFHeader:
    """The header of `path`; raises `GGUFError` unless the file is a whole GGUF."""
    if path.exists() and not path.is_file():
        raise GGUFError(f"{path.name} is no file")
    with path.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _Cursor(content, path.name).header()
        except (struct.error, ValueError, ArithmeticError, MemoryError) as error:
            if isinstance(error, GGUFError):
                raise
            raise GGUFError(f"{path.name} is not a GGUF file, or is cut off: {error}") from error


class _Cursor:
    """A position in the bytes of a file."""

    def __init__(self, content: mmap.mmap, name: str, position: int = 0) -> None:
        self._content = content
        self._name = name
        self._position = position
        self._strings: dict[str, tuple[int, int]] = {}
        self._pairs: dict[str, tuple[int, int]] = {}

    def header(self) -> GGUFHeader:
        magic, version, tensor_count, metadata_count = self._unpack("<4sIQQ")
        if magic != _MAGIC or version not in _VERSIONS:
            raise ValueError(f"magic {magic!r}, version {version}")
        metadata_start = self._position
        metadata = self._distinct(self._pair() for _ in range(metadata_count))
        alignment = metadata.get(_ALIGNMENT, _DEFAULT_ALIGNMENT)
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
            raise self._damaged(f"{_ALIGNMENT} is {alignment!r:.40}, not a power of two")
        tensors_start = self._position
        described = self._distinct(self._tensor() for _ in range(tensor_count))
        return GGUFHeader(
            name=self._name,
            metadata={key: value for key, value in metadata.items() if value is not None},
            strings=self._strings,
            pairs=self._pairs,
            tensors=self._placed(described, align(self._position, alignment), alignment),
            metadata_start=metadata_start,
            tensors_start=tensors_start,
            tensors_end=self._position,
            alignment=alignment,
        )

    def strings(self, count: int) -> list[str]:
        """As many as `count` from here on; what is no UTF-8 in one is replaced."""
        lengths = (self._unpack("<Q")[0] for _ in range(count))
        return [str(self._take(length), "utf-8", "replace") for length in lengths]

    def _damaged(self, what: str) -> GGUFError:
        return GGUFError(f"{self._name} is damaged: {what}")

    def _distinct(self, pairs: Iterable[tuple[str, _T]]) -> dict[str, _T]:
        items: dict[str, _T] = {}
        for name, value in pairs:
            if name in items:
                raise self._damaged(f"it holds {name!r} twice")
            items[name] = value
        return items

    def _placed(
        self, described: dict[str, _Description], start: int, alignment: int
    ) -> dict[str, Tensor]:
        """Tensors, if they follow each other without a gap and the last ends where the file does.

        A tensor of a type that is not among `KINDS` reaches up to the next one.
        """
        room = len(self._content) - start
        offsets = [offset for _, _, offset in described.values()]
        placed, end = {}, 0
        for (name, (shape, kind, offset)), following in zip(
            described.items(), [*offsets[1:], max(room, 0)], strict=True
        ):
            if offset != align(end, alignment):
                raise self._damaged(f"{name!r} is not where the tensor before it ends")
            size = self._size(name, shape, kind, following - offset)
            placed[name] = Tensor(shape, kind, offset, size)
            end = offset + size
        if end > room:
            raise GGUFError(
                f"{self._name} is cut off: {len(self._content):,} bytes of {start + end:,}"
            )
        if room > align(end, alignment):
            raise self._damaged(f"it has {room - end:,} bytes behind its last tensor")
        return placed

    def _size(self, name: str, shape: tuple[int, ...], kind: int, otherwise: int) -> int:
        if not 1 <= len(shape) <= _MOST_DIMENSIONS or 0 in shape:
            raise self._damaged(f"{name!r} has the shape {shape}")
        if kind not in _KINDS_BY_NUMBER:
            return max(otherwise, 1)
        _, elements, size = _KINDS_BY_NUMBER[kind]
        if shape[0] % elements:
            raise self._damaged(f"{name!r} of type {kind} has rows of {shape[0]:,} elements")
        return math.prod(shape) // elements * size

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(layout, self._content, self._position)
        self._position += struct.calcsize(layout)
        return values

    def _string(self) -> str:
        (length,) = self._unpack("<Q")
        return str(self._take(length), "utf-8")

    def _take(self, length: int) -> bytes:
        end = self._position + length
        if end > len(self._content):
            raise ValueError(f"{length:,} bytes are announced at {self._position:,}")
        taken = self._content[self._position : end]
        self._position = end
        return taken

    def _pair(self) -> tuple[str, Any]:
        start, key = self._position, self._string()
        value = self._value(key)
        self._pairs[key] = start, self._position
        return key, value

    def _value(self, key: str) -> Any:
        (kind,) = self._unpack("<I")
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._numbers(kind, 1)[0].item()
        kind, count = self._unpack("<IQ")
        if kind == _STRING:
            self._strings[key] = self._position, count
            self._skip_strings(count)
            return None
        return self._numbers(kind, count)

    def _numbers(self, kind: int, count: int) -> NDArray[Any]:
        if kind not in _SCALARS:
            raise ValueError(f"values of type {kind}")
        dtype = _SCALARS[kind]
        return np.frombuffer(self._take(count * dtype.itemsize), dtype)

    def _skip_strings(self, count: int) -> None:
        if count > _MOST_STRINGS:
            raise ValueError(f"an array of {count:,} strings")
        position, length_at = self._position, struct.Struct("<Q").unpack_from
        for _ in range(count):
            position += 8 + length_at(self._content, position)[0]
        self._position = position

    def _tensor(self) -> tuple[str, _Description]:
        name = self._string()
        (dimensions,) = self._unpack("<I")
        if dimensions > _MOST_DIMENSIONS:
            raise self._damaged(f"{name!r} has {dimensions:,} dimensions")
        shape = self._unpack(f"<{dimensions}Q")
        kind, offset = self._unpack("<IQ")
        return name, (shape, kind, offset)
