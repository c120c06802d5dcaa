"""Give a GGUF the readout head of `models.llama.head`: `python -m models.prepare IN [OUT]`.

A model with windows gets an architecture that has them (`models.llama.windows`). Everything else
stays byte for byte.
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
from models.llama import metadata
from models.llama.gguf import KINDS, GGUFError, GGUFHeader, Tensor, align, read_header
from models.llama.head import (
    HEAD,
    HEAD_KEY,
    HEAD_SCALE_KEY,
    HEAD_TYPES,
    HIDDEN_STATES,
    Head,
    View,
    check_moderate,
    stored_rows,
)
from models.llama.windows import WINDOWED, Windows
from models.whole_file import UnfinishedFile, remove_unused, unfinished

SOURCE_KEY = "reranker.source.sha256"

_NORM = "output_norm.weight"
_EMBEDDINGS = "token_embd.weight"
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


def prepare(
    source: Path,
    target: Path,
    head_type: str = "F16",
    force: bool = False,
    view: View = HIDDEN_STATES,
    windowed: str = WINDOWED,
) -> None:
    """Write a copy of the GGUF `source` with the readout head of `view` to `target`.

    Other tensors and metadata stay byte for byte, but that a model with windows gets the
    architecture `windowed`. `head_type` is F16 or F32. A head that the model has already is
    replaced only with `force`, or where `view` replaces it. `target` appears whole or not at all.
    Raises `GGUFError`, `PrepareError` or `OSError`.
    """
    if target.exists() and target.samefile(source):
        raise PrepareError(f"{target} is the source itself; write elsewhere")
    _check_unprepared(source, force or view.replaces)
    require_writable(target.parent)
    content = _Source.read(source, view, windowed)
    with unfinished(target.with_name(target.name + ".part"), keep=False) as output:
        _write(output, content, head_type)
        output.finish(target)


def prepared(source: Path, view: View = HIDDEN_STATES, windowed: str = WINDOWED) -> Path:
    """The GGUF to serve for `source`: itself if it has the head of `view`, else a copy beside it.

    `windowed` is the architecture that a model with windows gets. The copy is made if there is
    none of what `source` now holds. Its name has a hash of its own content, so no name stands for
    two contents. Raises as `prepare` does.
    """
    if HEAD_KEY in read_header(source).metadata:
        head = Head.read(source)
        if head is None or head.meaning != view.meaning:
            raise PrepareError(f"{source.name} has a head for another model or version")
        return source
    content = _Source.read(source, view, windowed)
    copy = _find_copy(content) or _make_copy(content)
    for other in _copies(source):
        if other != copy:
            remove_unused(other)
            if not other.exists():
                digest.forget(other)
    return copy


@dataclass(frozen=True)
class _Source:
    """A GGUF without a head, what it held when it was read, and what a head is to show.

    Its `windows`, if it has any, are those of the architecture `windowed`.
    """

    path: Path
    stamp: digest.Stamp
    sha256: str
    view: View
    windows: Windows | None
    windowed: str

    @classmethod
    def read(cls, path: Path, view: View, windowed: str) -> _Source:
        windows = Windows.of(path)
        return cls(path, digest.Stamp.of(path), digest.sha256(path), view, windows, windowed)

    def is_of(self, copy: GGUFHeader) -> bool:
        """Whether the copy with this header was made of what is to be copied, for the same use."""
        has_windows = self.windows is None or (
            copy.metadata.get("general.architecture") == self.windowed
            and Windows.of_header(copy) == self.windows
        )
        return (
            copy.metadata.get(SOURCE_KEY) == self.sha256
            and copy.metadata.get(HEAD_KEY) == self.view.meaning
            and has_windows
        )

    def check_unchanged(self) -> None:
        if digest.Stamp.of(self.path) != self.stamp and digest.sha256(self.path) != self.sha256:
            raise PrepareError(f"{self.path.name} changed while it was read; run this again")


def _make_copy(source: _Source) -> Path:
    _check_unprepared(source.path, source.view.replaces)
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
            written = path.name.removesuffix(PREPARED)[-_DIGITS:]
            if source.is_of(read_header(path)) and digest.sha256(path)[:_DIGITS] == written:
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


def _write(output: UnfinishedFile, source: _Source, head_type: str) -> str:
    """Write the copy; its SHA-256."""
    output.clear()
    header = read_header(source.path)
    with source.path.open("rb") as file:
        rows, scale = _head_rows(file, header, source, head_type)
        parts = [*_tensors(file, header), _head(rows, header.vocabulary, head_type)]
        start = _new_header(file, header, parts, scale, source)
        total = len(start) + sum(align(part.tensor.size, header.alignment) for part in parts)
        _check_room(output.path.parent, total)
        written = hashlib.sha256()
        with tqdm(total=total, unit="B", unit_scale=True, desc="preparing", disable=None) as bar:
            for chunk in _content(start, parts, header.alignment):
                output.file.write(chunk)
                written.update(chunk)
                bar.update(len(chunk))
    output.file.flush()
    Head.read(output.path)
    source.check_unchanged()
    return written.hexdigest()


def _content(start: bytes, parts: list[_Part], alignment: int) -> Iterator[bytes]:
    yield start
    for part in parts:
        yield from part.content
        yield bytes(align(part.tensor.size, alignment) - part.tensor.size)


def _head_rows(
    file: BinaryIO, header: GGUFHeader, source: _Source, head_type: str
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """The first half of the head's rows as stored, and their scale."""
    norm = header.tensor(_NORM)
    if norm.kind != KINDS["F32"].number or norm.shape != (header.number("embedding_length"),):
        raise PrepareError(f"{header.name} has no {_NORM} in F32: is it a Qwen3?")
    file.seek(header.data_start + norm.offset)
    weight = np.frombuffer(file.read(norm.size), "<f4")
    check_moderate(header.name, _NORM, weight)
    matrix = source.view.matrix(source.path)
    if header.vocabulary <= 2 * len(matrix):
        raise PrepareError(f"{header.name}: its vocabulary is too small for the readout head")
    return stored_rows(matrix, weight, HEAD_TYPES[head_type])


def _head(rows: NDArray[Any], vocabulary: int, head_type: str) -> _Part:
    shape, kind = (rows.shape[1], vocabulary), KINDS[head_type]
    tensor = Tensor(shape, kind.number, 0, rows.shape[1] * vocabulary * kind.bytes)
    return _Part(HEAD, tensor, _head_content(rows, tensor.size))


def _head_content(rows: NDArray[Any], size: int) -> Iterator[bytes]:
    yield rows.tobytes()
    # Not -rows: zeros have no sign.
    yield (0 - rows).tobytes()
    remaining = size - 2 * rows.nbytes
    for start in range(0, remaining, _CHUNK_BYTES):
        yield bytes(min(_CHUNK_BYTES, remaining - start))


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
    source: _Source,
) -> bytes:
    file.seek(header.metadata_start)
    stored = file.read(header.tensors_start - header.metadata_start)
    pairs = [
        *_pairs(header, stored, source),
        metadata.pair(HEAD_KEY, source.view.meaning),
        metadata.pair(HEAD_SCALE_KEY, scale),
        metadata.pair(SOURCE_KEY, source.sha256),
    ]
    content = struct.pack("<4sIQQ", b"GGUF", 3, len(parts), len(pairs)) + b"".join(pairs)
    offset = 0
    for part in parts:
        shape = part.tensor.shape
        content += metadata.string(part.name)
        content += struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, part.tensor.kind, offset)
        offset = align(offset + part.tensor.size, header.alignment)
    return content + bytes(align(len(content), header.alignment) - len(content))


def _pairs(header: GGUFHeader, stored: bytes, source: _Source) -> list[bytes]:
    """The metadata `stored`, pair by pair, in an architecture that computes the model."""
    if source.windows:
        return source.windows.pairs(header, stored, source.windowed)
    start = header.metadata_start
    return [stored[first - start : end - start] for first, end in header.pairs.values()]


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PrepareError(
            f"{needed / 1e9:.1f} GB are needed in {folder} and {free / 1e9:.1f} GB are free"
        )


def _prepared_for(model: str, source: Path) -> Path:
    # Imported here: families prepare their files through this module.
    from models.families import family_of

    family, card = family_of(model)
    return family.prepared(card, source, "prefix", None)


def main() -> None:
    """Command line of `prepare`."""
    parser = argparse.ArgumentParser(prog="python -m models.prepare", description=__doc__)
    parser.add_argument("source", type=Path, metavar="IN.gguf")
    parser.add_argument(
        "target", type=Path, metavar="OUT.gguf", nargs="?", help="else beside IN.gguf"
    )
    parser.add_argument("--model", help="a reranker by name, such as Qwen3-Reranker-0.6B")
    parser.add_argument("--head-type", choices=HEAD_TYPES, default="F16")
    parser.add_argument("--force", action="store_true", help="replace a head the model has")
    arguments = parser.parse_args()
    end_on_term()
    source, target = arguments.source, arguments.target
    if arguments.model and target:
        parser.error("--model makes its copy beside IN.gguf; leave out OUT.gguf")
    try:
        if target:
            prepare(source, target, arguments.head_type, arguments.force)
        elif arguments.model:
            target = _prepared_for(arguments.model, source)
        else:
            target = prepared(source)
    except (GGUFError, PrepareError, OSError) as error:
        sys.exit(f"models.prepare: {explain(error)}")
    except KeyboardInterrupt:
        sys.exit("\nmodels.prepare: interrupted; run it again")
    print(target)


if __name__ == "__main__":
    main()
