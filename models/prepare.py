"""Give a GGUF the readout head: `python -m models.prepare IN.gguf [OUT.gguf]`.

The head is an `output.weight` that makes logits out of hidden states. With w the weight of the
final RMSNorm, row i is e_i / w_i and row n + i its negative, n the hidden size; all other rows are
zero. The final norm multiplies by w, so the logits are plus and minus the normalised state, within
±√n whatever the weights, and `models.readout.PrefixReadout` reads them back as log-probabilities.
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.gguf_header import GGUFError, GGUFHeader, Tensor, align, read_header

HEAD = "output.weight"
HEAD_KEY = "reranker.head"
HEAD_SCALE_KEY = "reranker.head.scale"
HEAD_OF_HIDDEN_STATES = "hidden states"

_NORM = "output_norm.weight"
_F32 = 0
_HEAD_KINDS: dict[str, tuple[int, np.dtype[Any]]] = {
    "F32": (_F32, np.dtype("<f4")),
    "F16": (1, np.dtype("<f2")),
}
_CHUNK_BYTES = 8 * 2**20


class PrepareError(ValueError):
    """The GGUF cannot be given a head."""


@dataclass(frozen=True)
class _Part:
    """A tensor of the output: its description and where its bytes come from."""

    name: str
    tensor: Tensor
    size: int
    content: Iterator[bytes]


def head_scale(path: Path) -> NDArray[np.float32] | None:
    """What `PrefixReadout` divides by, float32 [hidden], if the GGUF has our head; else None."""
    metadata = read_header(path).metadata
    if metadata.get(HEAD_KEY) != HEAD_OF_HIDDEN_STATES:
        return None
    scale: NDArray[np.float32] = metadata[HEAD_SCALE_KEY]
    return scale


def prepare(source: Path, target: Path, head_type: str = "F16", force: bool = False) -> None:
    """Write a copy of the GGUF `source` with the readout head to `target`.

    Other tensors and metadata stay byte for byte. `head_type` is F16 or F32. A head that the model
    has already is replaced only with `force`. `target` appears whole or not at all. Raises
    `GGUFError` or `PrepareError`.
    """
    header = read_header(source)
    if HEAD_KEY in header.metadata:
        raise PrepareError(f"{source.name} has the readout head already")
    if HEAD in header.tensors and not force:
        raise PrepareError(f"{source.name} has an output head of its own; --force replaces it")
    _check_folder(source, target)
    kind, dtype = _HEAD_KINDS[head_type]
    with source.open("rb") as file:
        values = _head_values(file, header, source, dtype)
        vocabulary = header.tensors["token_embd.weight"].shape[1]
        head = Tensor((len(values), vocabulary), kind, offset=0)
        parts = [part for part in _copies(file, header, source) if part.name != HEAD]
        size = len(values) * vocabulary * dtype.itemsize
        parts.append(_Part(HEAD, head, size, _head_rows(values, vocabulary)))
        partial = target.with_name(target.name + ".part")
        try:
            with partial.open("wb") as output:
                output.write(_new_header(file, header, parts, values.astype(np.float32)))
                _write_data(output, parts, header.alignment)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)


def prepared(source: Path) -> Path:
    """The GGUF to serve for `source`: itself if it has the head, else a copy beside it.

    The copy is made if it is missing or older. Raises as `prepare` does.
    """
    if HEAD_KEY in read_header(source).metadata:
        return source
    target = source.with_suffix(".prefix.gguf")
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        prepare(source, target)
    return target


def _head_values(
    file: BinaryIO, header: GGUFHeader, source: Path, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """1 / w as stored in the head, 0 where w is 0 and the hidden state with it."""
    if _NORM not in header.tensors or header.tensors[_NORM].kind != _F32:
        raise PrepareError(f"{source.name} has no {_NORM} in F32: is it a Qwen3?")
    norm = header.tensors[_NORM]
    file.seek(header.data_start + norm.offset)
    weight = np.frombuffer(file.read(4 * norm.shape[0]), "<f4")
    with np.errstate(divide="ignore", over="ignore"):
        values = np.where(weight == 0, 0, 1 / weight).astype(dtype)
    limits = np.finfo(dtype)
    usable = (weight == 0) | ((abs(values) >= limits.tiny) & (abs(values) <= limits.max))
    if not usable.all():
        raise PrepareError(f"the weights of {_NORM} exceed {dtype}; use --head-type F32")
    return values


def _head_rows(values: NDArray[Any], vocabulary: int) -> Iterator[bytes]:
    yield np.diag(values).tobytes()
    yield np.diag(-values).tobytes()
    row = len(values) * values.itemsize
    remaining = (vocabulary - 2 * len(values)) * row
    if remaining < row:
        raise PrepareError("the vocabulary is too small for the readout head")
    for start in range(0, remaining, _CHUNK_BYTES):
        yield bytes(min(_CHUNK_BYTES, remaining - start))


def _copies(file: BinaryIO, header: GGUFHeader, source: Path) -> Iterator[_Part]:
    ordered = sorted(header.tensors.items(), key=lambda item: item[1].offset)
    ends = [tensor.offset for _, tensor in ordered[1:]]
    ends.append(source.stat().st_size - header.data_start)
    for (name, tensor), end in zip(ordered, ends, strict=True):
        start = header.data_start + tensor.offset
        size = end - tensor.offset
        if size <= 0:
            raise GGUFError(f"{source.name} is cut off: {name} is missing")
        yield _Part(name, tensor, size, _chunks(file, start, size))


def _chunks(file: BinaryIO, start: int, size: int) -> Iterator[bytes]:
    for position in range(start, start + size, _CHUNK_BYTES):
        file.seek(position)
        yield file.read(min(_CHUNK_BYTES, start + size - position))


def _new_header(
    file: BinaryIO, header: GGUFHeader, parts: list[_Part], scale: NDArray[np.float32]
) -> bytes:
    file.seek(header.metadata_start)
    metadata = file.read(header.tensors_start - header.metadata_start)
    metadata += _string(HEAD_KEY) + struct.pack("<I", 8) + _string(HEAD_OF_HIDDEN_STATES)
    metadata += _string(HEAD_SCALE_KEY) + struct.pack("<IIQ", 9, 6, len(scale)) + scale.tobytes()
    content = struct.pack("<4sIQQ", b"GGUF", 3, len(parts), header.metadata_count + 2) + metadata
    offset = 0
    for part in parts:
        shape = part.tensor.shape
        content += _string(part.name)
        content += struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, part.tensor.kind, offset)
        offset = align(offset + part.size, header.alignment)
    return content + bytes(align(len(content), header.alignment) - len(content))


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _write_data(output: BinaryIO, parts: list[_Part], alignment: int) -> None:
    total = sum(part.size for part in parts)
    with tqdm(total=total, unit="B", unit_scale=True, desc="preparing", disable=None) as progress:
        for part in parts:
            for chunk in part.content:
                output.write(chunk)
                progress.update(len(chunk))
            output.write(bytes(align(part.size, alignment) - part.size))


def _check_folder(source: Path, target: Path) -> None:
    if not os.access(target.parent, os.W_OK):
        raise PrepareError(
            f"{target.parent} cannot be written; make it writable, or write elsewhere: "
            "python -m models.prepare IN.gguf OUT.gguf"
        )
    needed = 2 * source.stat().st_size
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise PrepareError(
            f"{needed / 1e9:.1f} GB are needed in {target.parent} and {free / 1e9:.1f} GB are free"
        )


def main() -> None:
    """Command line of `prepare`."""
    parser = argparse.ArgumentParser(prog="python -m models.prepare", description=__doc__)
    parser.add_argument("source", type=Path, metavar="IN.gguf")
    parser.add_argument(
        "target", type=Path, metavar="OUT.gguf", nargs="?", help="IN.prefix.gguf, if it is stale"
    )
    parser.add_argument("--head-type", choices=_HEAD_KINDS, default="F16")
    parser.add_argument("--force", action="store_true", help="replace a head the model has")
    arguments = parser.parse_args()
    source, target = arguments.source, arguments.target
    try:
        if target:
            prepare(source, target, arguments.head_type, arguments.force)
        else:
            target = prepared(source)
    except (GGUFError, PrepareError, OSError) as error:
        sys.exit(f"models.prepare: {error}")
    print(target)


if __name__ == "__main__":
    main()
