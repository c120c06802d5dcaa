"""Give a GGUF the readout head: `python -m models.prepare IN.gguf [OUT.gguf]`.

The head is an `output.weight` that makes logits out of hidden states. With w the weight of the
final RMSNorm, row i is e_i / w_i and row n + i its negative, n the hidden size; all other rows are
zero. The final norm multiplies by w, so the logits are plus and minus the normalised state, within
±√n whatever the weights, and `models.llama.readout.prefix.PrefixReadout` reads them back as
log-probabilities.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models import digest
from models.access import explain, require_writable
from models.ending import end_on_term
from models.files import PREPARED
from models.llama.gguf import KINDS, GGUFError, GGUFHeader, Tensor, align, read_header
from models.whole_file import UnfinishedFile, remove_unused, unfinished

HEAD = "output.weight"
HEAD_KEY = "reranker.head"
HEAD_SCALE_KEY = "reranker.head.scale"
HEAD_OF_HIDDEN_STATES = "hidden states"
SOURCE_KEY = "reranker.source.sha256"

_NORM = "output_norm.weight"
_EMBEDDINGS = "token_embd.weight"
_HEAD_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}
# What a norm multiplies by is about 1.
_LEAST_VALUE = 1e-9
# Digits of a SHA-256 that a file name carries.
_DIGITS = 16
_CHUNK_BYTES = 8 * 2**20


class PrepareError(ValueError):
    """The GGUF cannot be given a head."""


@dataclass(frozen=True)
class _Part:
    """A tensor of the output: its description and where its bytes come from."""

    name: str
    tensor: Tensor
    content: Iterator[bytes]


def head_scale(path: Path) -> NDArray[np.float32] | None:
    """What `PrefixReadout` divides by, float32 [hidden], if the GGUF has our head; else None.

    Raises `GGUFError` if the file is not whole, or its head is not the one that it tells of.
    """
    header = read_header(path)
    if header.metadata.get(HEAD_KEY) != HEAD_OF_HIDDEN_STATES:
        return None
    scale = _stored_scale(header)
    if not np.array_equal(_read_head(path, header), np.vstack([np.diag(scale), np.diag(-scale)])):
        raise GGUFError(
            f"{path.name} is damaged: {HEAD} and {HEAD_SCALE_KEY} contradict each other"
        )
    return scale


def prepare(source: Path, target: Path, head_type: str = "F16", force: bool = False) -> None:
    """Write a copy of the GGUF `source` with the readout head to `target`.

    Other tensors and metadata stay byte for byte. `head_type` is F16 or F32. A head that the model
    has already is replaced only with `force`. `target` appears whole or not at all. Raises
    `GGUFError`, `PrepareError` or `OSError`.
    """
    if target.exists() and target.samefile(source):
        raise PrepareError(f"{target} is the source itself; write elsewhere")
    _check_unprepared(source, force)
    require_writable(target.parent)
    content = _Source.read(source)
    with unfinished(target.with_name(target.name + ".part"), keep=False) as output:
        _write(output, content, head_type)
        output.finish(target)


def prepared(source: Path) -> Path:
    """The GGUF to serve for `source`: itself if it has the head, else a copy beside it.

    The copy is made if there is none of what `source` now holds. Its name has a hash of its own
    content, so no name stands for two contents. Raises as `prepare` does.
    """
    if HEAD_KEY in read_header(source).metadata:
        if head_scale(source) is None:
            raise PrepareError(f"{source.name} has a head that this version cannot read")
        return source
    content = _Source.read(source)
    copy = _find_copy(content) or _make_copy(content)
    for other in _copies(source):
        if other != copy:
            remove_unused(other)
            if not other.exists():
                digest.forget(other)
    return copy


@dataclass(frozen=True)
class _Source:
    """A GGUF without a head, and what it held when it was read."""

    path: Path
    stamp: digest.Stamp
    sha256: str

    @classmethod
    def read(cls, path: Path) -> _Source:
        return cls(path, digest.Stamp.of(path), digest.sha256(path))

    def check_unchanged(self) -> None:
        if digest.Stamp.of(self.path) != self.stamp and digest.sha256(self.path) != self.sha256:
            raise PrepareError(f"{self.path.name} changed while it was read; run this again")


def _make_copy(source: _Source) -> Path:
    _check_unprepared(source.path, force=False)
    folder, stem = source.path.parent, source.path.stem
    require_writable(folder)
    with unfinished(folder / f"{stem}.{source.sha256[:_DIGITS]}.part", keep=False) as output:
        # Another process may have made it while this one waited.
        copy = _find_copy(source)
        if copy is None:
            content = _write(output, source, "F16")
            copy = folder / f"{stem}.{content[:_DIGITS]}{PREPARED}"
            output.finish(copy)
            digest.remember(copy, content)
    return copy


def _find_copy(source: _Source) -> Path | None:
    """The copy of what `source` holds, if there is one, as it was once written."""
    for path in _copies(source.path):
        # One that is damaged is no copy.
        with suppress(GGUFError, OSError):
            if read_header(path).metadata.get(SOURCE_KEY) == source.sha256 and (
                digest.sha256(path)[:_DIGITS] == path.name.removesuffix(PREPARED)[-_DIGITS:]
            ):
                return path
    return None


def _copies(source: Path) -> list[Path]:
    """Copies of what `source` holds or held."""
    name = re.compile(f"{re.escape(source.stem)}\\.[0-9a-f]{{{_DIGITS}}}{re.escape(PREPARED)}")
    return [path for path in source.parent.iterdir() if name.fullmatch(path.name)]


def _check_unprepared(source: Path, force: bool) -> None:
    """Raises `PrepareError` or `GGUFError` unless the GGUF can be given a head."""
    header = read_header(source)
    if HEAD_KEY in header.metadata:
        raise PrepareError(f"{source.name} has the readout head already")
    if HEAD in header.tensors and not force:
        raise PrepareError(f"{source.name} has an output head of its own; --force replaces it")
    if header.metadata.get("split.count", 1) != 1:
        raise PrepareError(f"{source.name} is a part; join them: llama-gguf-split --merge")
    if header.vocabulary <= 2 * header.number("embedding_length"):
        raise PrepareError(f"{source.name}: its vocabulary is too small for the readout head")


def _write(output: UnfinishedFile, source: _Source, head_type: str) -> str:
    """Write the copy; its SHA-256."""
    output.clear()
    header = read_header(source.path)
    with source.path.open("rb") as file:
        values = _head_values(file, header, _HEAD_TYPES[head_type])
        parts = [*_tensors(file, header), _head(values, header.vocabulary, head_type)]
        start = _new_header(file, header, parts, values.astype(np.float32), source.sha256)
        total = len(start) + sum(align(part.tensor.size, header.alignment) for part in parts)
        _check_room(output.path.parent, total)
        written = hashlib.sha256()
        with tqdm(total=total, unit="B", unit_scale=True, desc="preparing", disable=None) as bar:
            for chunk in _content(start, parts, header.alignment):
                output.file.write(chunk)
                written.update(chunk)
                bar.update(len(chunk))
    output.file.flush()
    head_scale(output.path)
    source.check_unchanged()
    return written.hexdigest()


def _content(start: bytes, parts: list[_Part], alignment: int) -> Iterator[bytes]:
    yield start
    for part in parts:
        yield from part.content
        yield bytes(align(part.tensor.size, alignment) - part.tensor.size)


def _head_values(file: BinaryIO, header: GGUFHeader, dtype: np.dtype[Any]) -> NDArray[Any]:
    """1 / w as stored in the head, 0 where w is 0 and the hidden state with it."""
    norm = header.tensor(_NORM)
    if norm.kind != KINDS["F32"].number or norm.shape != (header.number("embedding_length"),):
        raise PrepareError(f"{header.name} has no {_NORM} in F32: is it a Qwen3?")
    file.seek(header.data_start + norm.offset)
    weight = np.frombuffer(file.read(norm.size), "<f4")
    _check_moderate(header, _NORM, weight)
    with np.errstate(divide="ignore", over="ignore"):
        values = np.where(weight == 0, 0, 1 / weight).astype(dtype)
    limits = np.finfo(dtype)
    usable = (weight == 0) | ((abs(values) >= limits.tiny) & (abs(values) <= limits.max))
    if not usable.all():
        raise PrepareError(f"the weights of {_NORM} exceed {dtype}; use --head-type F32")
    return values


def _head(values: NDArray[Any], vocabulary: int, head_type: str) -> _Part:
    shape, kind = (len(values), vocabulary), KINDS[head_type]
    tensor = Tensor(shape, kind.number, 0, len(values) * vocabulary * kind.bytes)
    return _Part(HEAD, tensor, _head_rows(values, tensor.size))


def _head_rows(values: NDArray[Any], size: int) -> Iterator[bytes]:
    yield np.diag(values).tobytes()
    yield np.diag(-values).tobytes()
    remaining = size - 2 * len(values) * values.nbytes
    for start in range(0, remaining, _CHUNK_BYTES):
        yield bytes(min(_CHUNK_BYTES, remaining - start))


def _stored_scale(header: GGUFHeader) -> NDArray[np.float32]:
    scale, shape = header.metadata.get(HEAD_SCALE_KEY), (header.number("embedding_length"),)
    if not isinstance(scale, np.ndarray) or scale.dtype != np.float32 or scale.shape != shape:
        raise GGUFError(f"{header.name} is damaged: {HEAD_SCALE_KEY} is no float32 {shape}")
    _check_moderate(header, HEAD_SCALE_KEY, scale)
    return scale


def _check_moderate(header: GGUFHeader, name: str, values: NDArray[Any]) -> None:
    """Raises `GGUFError` for what would make every state 0 or overflow."""
    size = abs(values[values != 0])
    if not len(size) or not ((size >= _LEAST_VALUE) & (size <= 1 / _LEAST_VALUE)).all():
        raise GGUFError(f"{header.name} is damaged: {name} is all zero, or beyond all measure")


def _read_head(path: Path, header: GGUFHeader) -> NDArray[np.float32]:
    """The rows of the head that are not zero, float32 [2 hidden, hidden]."""
    head, size = header.tensor(HEAD), header.number("embedding_length")
    types = {KINDS[name].number: dtype for name, dtype in _HEAD_TYPES.items()}
    if head.shape != (size, header.vocabulary) or header.vocabulary <= 2 * size:
        raise GGUFError(f"{path.name} is damaged: {HEAD} has the shape {head.shape}")
    if head.kind not in types:
        raise GGUFError(f"{path.name}: {HEAD} is neither F16 nor F32; quantize before preparing")
    with path.open("rb") as file:
        file.seek(header.data_start + head.offset)
        dtype = types[head.kind]
        rows = np.frombuffer(file.read(2 * size * size * dtype.itemsize), dtype)
    stored: NDArray[np.float32] = rows.reshape(2 * size, size).astype(np.float32)
    return stored


def _tensors(file: BinaryIO, header: GGUFHeader) -> Iterator[_Part]:
    for name, tensor in header.tensors.items():
        if name != HEAD:
            chunks = _chunks(file, header.data_start + tensor.offset, tensor.size)
            yield _Part(name, tensor, _not_zero(chunks, header) if name == _EMBEDDINGS else chunks)


def _chunks(file: BinaryIO, start: int, size: int) -> Iterator[bytes]:
    for position in range(start, start + size, _CHUNK_BYTES):
        file.seek(position)
        yield file.read(min(_CHUNK_BYTES, start + size - position))


def _not_zero(chunks: Iterator[bytes], header: GGUFHeader) -> Iterator[bytes]:
    seen = False
    for chunk in chunks:
        seen = seen or chunk.count(0) < len(chunk)
        yield chunk
    if not seen:
        raise GGUFError(f"{header.name} is damaged: {_EMBEDDINGS} is all zero")


def _new_header(
    file: BinaryIO,
    header: GGUFHeader,
    parts: list[_Part],
    scale: NDArray[np.float32],
    source_digest: str,
) -> bytes:
    file.seek(header.metadata_start)
    metadata = file.read(header.tensors_start - header.metadata_start)
    metadata += _string_pair(HEAD_KEY, HEAD_OF_HIDDEN_STATES)
    metadata += _string(HEAD_SCALE_KEY) + struct.pack("<IIQ", 9, 6, len(scale)) + scale.tobytes()
    metadata += _string_pair(SOURCE_KEY, source_digest)
    content = struct.pack("<4sIQQ", b"GGUF", 3, len(parts), header.metadata_count + 3) + metadata
    offset = 0
    for part in parts:
        shape = part.tensor.shape
        content += _string(part.name)
        content += struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, part.tensor.kind, offset)
        offset = align(offset + part.tensor.size, header.alignment)
    return content + bytes(align(len(content), header.alignment) - len(content))


def _string_pair(key: str, value: str) -> bytes:
    return _string(key) + struct.pack("<I", 8) + _string(value)


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PrepareError(
            f"{needed / 1e9:.1f} GB are needed in {folder} and {free / 1e9:.1f} GB are free"
        )


def main() -> None:
    """Command line of `prepare`."""
    parser = argparse.ArgumentParser(prog="python -m models.prepare", description=__doc__)
    parser.add_argument("source", type=Path, metavar="IN.gguf")
    parser.add_argument(
        "target", type=Path, metavar="OUT.gguf", nargs="?", help="else beside IN.gguf"
    )
    parser.add_argument("--head-type", choices=_HEAD_TYPES, default="F16")
    parser.add_argument("--force", action="store_true", help="replace a head the model has")
    arguments = parser.parse_args()
    end_on_term()
    source, target = arguments.source, arguments.target
    try:
        if target:
            prepare(source, target, arguments.head_type, arguments.force)
        else:
            target = prepared(source)
    except (GGUFError, PrepareError, OSError) as error:
        sys.exit(f"models.prepare: {explain(error)}")
    except KeyboardInterrupt:
        sys.exit("\nmodels.prepare: interrupted; run it again")
    print(target)


if __name__ == "__main__":
    main()
