"""Hostile and broken GGUF files: one sentence, whoever reads them."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.doctor.weights import Transformer
from models.llama.gguf import GGUFError
from models.llama.head import Head
from models.prepare import PrepareError, prepare, prepared
from tests.gguf_bytes import HIDDEN, TOKENS, Gguf, Tensor, string

Spoil = Callable[[Gguf], Any]


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def _with_head(gguf: Gguf, scale: Any, rows: np.ndarray[Any, Any] | None = None) -> None:
    head = np.zeros((TOKENS, HIDDEN), "<f4")
    head[: 2 * HIDDEN] = np.vstack([np.eye(HIDDEN), -np.eye(HIDDEN)]) if rows is None else rows
    gguf.metadata |= {"reranker.head": "hidden states"}
    if scale is not None:
        gguf.metadata |= {"reranker.head.scale": scale}
    gguf.tensors["head"] = Tensor("output.weight", (HIDDEN, TOKENS), head.tobytes())


def _all_zero(gguf: Gguf) -> None:
    for tensor in gguf.tensors.values():
        tensor.data = bytes(len(tensor.data))


HOSTILE: dict[str, Spoil] = {
    "magic": lambda g: setattr(g, "magic", b"GGML"),
    "version": lambda g: setattr(g, "version", 4),
    "big-endian": lambda g: setattr(g, "version", 3 << 24),
    "2^63 pairs": lambda g: setattr(g, "metadata_count", 2**63),
    "2^63 tensors": lambda g: setattr(g, "tensor_count", 2**63),
    "one tensor less": lambda g: setattr(g, "tensor_count", 1),
    "no tensors": lambda g: g.tensors.clear(),
    "a key twice": lambda g: setattr(g, "twice", True),
    "a tensor twice": lambda g: setattr(g.tensors["norm"], "name", "token_embd.weight"),
    "alignment 0": lambda g: g.metadata.update({"general.alignment": 0}),
    "alignment 3": lambda g: g.metadata.update({"general.alignment": 3}),
    "alignment 2^31": lambda g: g.metadata.update({"general.alignment": 2**31}),
    "alignment of text": lambda g: g.metadata.update({"general.alignment": "32"}),
    "alignments": lambda g: g.metadata.update({"general.alignment": [32.0]}),
    "no alignment": lambda g: g.metadata.update({"general.alignment": struct.pack("<If", 6, 0.0)}),
    "offset 2^63": lambda g: setattr(g.tensors["norm"], "offset", 2**63),
    "offset 2^64-32": lambda g: setattr(g.tensors["norm"], "offset", 2**64 - 32),
    "overlap": lambda g: setattr(g.tensors["norm"], "offset", 0),
    "a gap": lambda g: setattr(g.tensors["norm"], "offset", 2**12),
    "five dimensions": lambda g: setattr(g.tensors["norm"], "shape", (8, 1, 1, 1, 1)),
    "no dimension": lambda g: setattr(g.tensors["norm"], "shape", ()),
    "empty tensor": lambda g: setattr(g.tensors["norm"], "shape", (0,)),
    "2^62 elements": lambda g: setattr(g.tensors["embeddings"], "shape", (2**31, 2**31)),
    "2^124 elements": lambda g: setattr(g.tensors["embeddings"], "shape", (2**31,) * 4),
    "unknown type": lambda g: setattr(g.tensors["norm"], "kind", 99),
    "type of blocks": lambda g: setattr(g.tensors["norm"], "kind", 12),
    "value type": lambda g: g.metadata.update({"x": struct.pack("<I", 99)}),
    "array of arrays": lambda g: g.metadata.update({"x": struct.pack("<IIQ", 9, 9, 1)}),
    "array of 2^63": lambda g: g.metadata.update({"x": struct.pack("<IIQ", 9, 4, 2**63)}),
    "2^63 strings": lambda g: g.metadata.update({"x": struct.pack("<IIQ", 9, 8, 2**63)}),
    "string of 2^63": lambda g: g.metadata.update({"x": struct.pack("<IQ", 8, 2**63)}),
    "string of 2^64-1": lambda g: g.metadata.update({"x": struct.pack("<IQ", 8, 2**64 - 1)}),
    "not UTF-8": lambda g: g.metadata.update({"x": struct.pack("<I", 8) + string(b"\xff")}),
    "no token_embd": lambda g: g.tensors.pop("embeddings"),
    "no norm": lambda g: g.tensors.pop("norm"),
    "no architecture": lambda g: g.metadata.pop("general.architecture"),
    "architecture with lines": lambda g: g.metadata.update({"general.architecture": "a\nb"}),
    "no hidden size": lambda g: g.metadata.pop("qwen3.embedding_length"),
    "hidden size 0": lambda g: g.metadata.update({"qwen3.embedding_length": 0}),
    "other hidden size": lambda g: g.metadata.update({"qwen3.embedding_length": 16}),
    "hidden size of text": lambda g: g.metadata.update({"qwen3.embedding_length": "8"}),
    "hidden sizes": lambda g: g.metadata.update({"qwen3.embedding_length": [8.0]}),
    "embeddings of one dimension": lambda g: setattr(g.tensors["embeddings"], "shape", (320,)),
    "small vocabulary": lambda g: g.tensors.update(
        embeddings=Tensor("token_embd.weight", (8, 16), floats(*range(128)))
    ),
    "a part": lambda g: g.metadata.update({"split.count": 2}),
    "a part of text": lambda g: g.metadata.update({"split.count": "2"}),
    "all zero": _all_zero,
    "embeddings of zero": lambda g: setattr(g.tensors["embeddings"], "data", bytes(1280)),
    "norm of zero": lambda g: setattr(g.tensors["norm"], "data", bytes(32)),
    "norm of NaN": lambda g: setattr(g.tensors["norm"], "data", floats(*[float("nan")] * 8)),
    "norm with inf": lambda g: setattr(g.tensors["norm"], "data", floats(1, *[float("inf")] * 7)),
    "norm of 1e38": lambda g: setattr(g.tensors["norm"], "data", floats(*[1e38] * 8)),
    "norm of 1e-38": lambda g: setattr(g.tensors["norm"], "data", floats(*[1e-38] * 8)),
    "short norm": lambda g: g.tensors.update(
        norm=Tensor("output_norm.weight", (4,), floats(1, 1, 1, 1))
    ),
    "norm in F16": lambda g: g.tensors.update(
        norm=Tensor("output_norm.weight", (8,), np.ones(8, "<f2").tobytes(), kind=1)
    ),
    "head without scale": lambda g: _with_head(g, None),
    "scale of text": lambda g: _with_head(g, "1"),
    "scale of one number": lambda g: _with_head(g, 1),
    "short scale": lambda g: _with_head(g, [1.0] * 4),
    "scale of zero": lambda g: _with_head(g, [0.0] * 8, np.zeros((16, 8))),
    "scale of NaN": lambda g: _with_head(g, [float("nan")] * 8),
    "scale of 1e38": lambda g: _with_head(g, [1e38] * 8),
    "scale of another head": lambda g: _with_head(g, [2.0] * 8),
    "head of another kind": lambda g: g.metadata.update({"reranker.head": "yes or no"}),
    "scale without head": lambda g: g.metadata.update({"reranker.head.scale": [1.0] * 8}),
    "head told, not there": lambda g: g.metadata.update(
        {"reranker.head": "hidden states", "reranker.head.scale": [1.0] * 8}
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_one_sentence(tmp_path: Path, name: str) -> None:
    gguf = Gguf()
    HOSTILE[name](gguf)
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf.content())

    with pytest.raises((GGUFError, PrepareError)) as refused:
        prepared(path)

    assert re.fullmatch("[ -~]{10,300}", str(refused.value))
    assert [file.name for file in tmp_path.iterdir() if file.suffix != ".sha256"] == [path.name]


def test_smallest_model_is_prepared(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(Gguf().content())

    copy = prepared(path)

    assert GGUFReader(copy).tensors[-1].name == "output.weight"
    assert Head.read(copy) is not None


@pytest.mark.parametrize("key", [key for key in Gguf().metadata if "." in key])
@pytest.mark.parametrize("value", [0, "text", [1.0], None])
def test_doctor_refuses_sizes_that_are_none(tmp_path: Path, key: str, value: Any) -> None:
    gguf = Gguf()
    gguf.metadata[key] = value
    if value is None:
        del gguf.metadata[key]
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf.content())

    with pytest.raises(GGUFError, match=r"model\.gguf"):
        Transformer.read(path)


@pytest.mark.parametrize("behind", [-1000, -33, -1, 0, 1, 1000])
def test_file_ends_where_its_tensors_do(tmp_path: Path, behind: int) -> None:
    content = Gguf().content()
    path = tmp_path / "model.gguf"
    path.write_bytes(content[:behind] if behind < 0 else content + bytes(behind))

    if behind == 0:
        assert Transformer.read(path).file_size == len(content)
    else:
        with pytest.raises(GGUFError, match="cut off" if behind < 0 else "behind its last tensor"):
            Transformer.read(path)


def test_padding_behind_the_last_tensor_may_be_missing(tmp_path: Path) -> None:
    gguf = Gguf()
    gguf.tensors["last"] = Tensor("last", (3,), floats(1, 2, 3))
    content, path = gguf.content(), tmp_path / "model.gguf"

    for size in (len(content), len(content) - 20):
        path.write_bytes(content[:size])
        assert Transformer.read(path).file_size == size
    path.write_bytes(content[:-21])
    with pytest.raises(GGUFError, match="cut off"):
        Transformer.read(path)


def _read_all(path: Path, target: Path) -> None:
    """What a start and doctor do with a GGUF."""
    for step in (Transformer.read, Head.read, lambda path: prepare(path, target)):
        with contextlib.suppress(GGUFError, PrepareError):
            step(path)


def _header_end() -> int:
    return len(Gguf().header())


@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, _header_end() - 1),
            st.one_of(
                st.binary(min_size=1, max_size=9),
                st.sampled_from([struct.pack("<Q", n) for n in (0, 2**31, 2**63, 2**64 - 1)]),
            ),
        ),
        min_size=1,
        max_size=3,
    ),
    kept=st.one_of(st.none(), st.integers(0, 4000)),
)
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_are_one_sentence_or_a_gguf(
    tmp_path: Path, changes: list[tuple[int, bytes]], kept: int | None
) -> None:
    content = bytearray(Gguf().content())
    for position, new in changes:
        content[position : position + len(new)] = new
    path = tmp_path / "model.gguf"
    path.write_bytes(content[:kept])

    _read_all(path, tmp_path / "out.gguf")


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(GGUFError, match="is no file"):
            Transformer.read(path)
    with pytest.raises(FileNotFoundError):
        Transformer.read(tmp_path / "absent.gguf")
