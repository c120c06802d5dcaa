from __future__ import annotations

import contextlib
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import TensorSpec, serialize_file
from safetensors.numpy import save, save_file

from models.jina.projector import Projector, ProjectorError, cosine

FIRST = np.array([[1, -2, 0.5], [-1, 0.25, 3]], np.float32)
SECOND = np.array([[2, 1], [0, -1]], np.float32)
HIDDEN = np.array([[1, 1, 2], [2, 0, 1]], np.float32)
# relu(FIRST·h) is (0, 5.25) and (2.5, 1), by hand.
PROJECTED = np.array([[5.25, -5.25], [6, -1]], np.float32)


@pytest.mark.parametrize("prefix", ["projector.", ""])
def test_float32_under_both_namings(tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "projector.safetensors"
    save_file({f"{prefix}0.weight": FIRST, f"{prefix}2.weight": SECOND}, path)

    np.testing.assert_allclose(Projector.load(path)(HIDDEN), PROJECTED)


def test_bfloat16(tmp_path: Path) -> None:
    path = tmp_path / "projector.safetensors"
    # The numbers have short mantissas, so their upper halves are exact.
    halves = [(matrix.view("<u4") >> 16).astype("<u2") for matrix in (FIRST, SECOND)]
    tensors = {
        f"projector.{i}.weight": TensorSpec(
            dtype="bfloat16", shape=half.shape, data_ptr=half.ctypes.data, data_len=half.nbytes
        )
        for i, half in zip((0, 2), halves, strict=True)
    }
    serialize_file(tensors, path)

    np.testing.assert_array_equal(Projector.load(path)(HIDDEN), PROJECTED)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a": FIRST}, "not projector.0.weight"),
        ({"0.weight": FIRST, "2.weight": np.ones((2, 3), np.float32)}, "do not follow each other"),
        ({"0.weight": FIRST, "2.weight": SECOND.astype(np.float16)}, "F16, not F32 or BF16"),
        ({"0.weight": FIRST * np.float32(np.nan), "2.weight": SECOND}, "not finite"),
        ({"0.weight": FIRST, "2.weight": np.full_like(SECOND, np.inf)}, "not finite"),
        ({"0.weight": FIRST * 0, "2.weight": SECOND}, "is damaged"),
        ({"0.weight": FIRST, "2.weight": SECOND * 0}, "is damaged"),
        ({"0.weight": FIRST * np.float32(1e38), "2.weight": SECOND}, "is damaged"),
        ({"0.weight": FIRST, "2.weight": SECOND * np.float32(1e30)}, "is damaged"),
        ({"0.weight": FIRST * np.float32(1e-30), "2.weight": SECOND}, "is damaged"),
        ({"0.weight": FIRST[:0], "2.weight": SECOND[:, :0]}, "is damaged"),
        ({"0.weight": FIRST[:, :0], "2.weight": SECOND}, "is damaged"),
        ({"0.weight": FIRST, "2.weight": SECOND[:0]}, "is damaged"),
        ({"0.weight": FIRST[0], "2.weight": SECOND}, "do not follow each other"),
        ({"0.weight": FIRST}, "not projector.0.weight"),
        ({}, "not projector.0.weight"),
    ],
)
def test_unusable_file(tmp_path: Path, tensors: dict[str, Any], message: str) -> None:
    path = tmp_path / "projector.safetensors"
    save_file(tensors, path)

    with pytest.raises(ProjectorError, match=message):
        Projector.load(path)


def test_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "projector.safetensors"
    save_file({"0.weight": FIRST, "2.weight": SECOND}, path)
    path.write_bytes(path.read_bytes()[:-4])

    with pytest.raises(ProjectorError, match="not a readable safetensors file"):
        Projector.load(path)


WHOLE = save({"0.weight": FIRST, "2.weight": SECOND})


@given(
    position=st.integers(0, len(WHOLE)),
    new=st.binary(max_size=12),
    kept=st.integers(0, len(WHOLE)) | st.none(),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_are_one_sentence_or_a_projector(
    tmp_path: Path, position: int, new: bytes, kept: int | None
) -> None:
    path = tmp_path / "projector.safetensors"
    path.write_bytes((WHOLE[:position] + new + WHOLE[position + len(new) :])[:kept])

    with contextlib.suppress(ProjectorError):
        projector = Projector.load(path)
        assert np.isfinite(projector(np.ones((1, projector.hidden_size), np.float32))).all()


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path("/")])
def test_what_is_no_file(path: Path) -> None:
    with pytest.raises(ProjectorError, match="is no file"):
        Projector.load(path)


@pytest.mark.parametrize("scale", [2**-60, 2**-20, 1, 2**20, 2**100])
def test_cosine_knows_no_scale(scale: float) -> None:
    vectors = np.array([[3, 4], [-1, 1]], np.float32)
    other = np.array([4, 3], np.float32)

    scaled = cosine(vectors * np.float32(scale), other * np.float32(scale))

    np.testing.assert_array_equal(scaled, cosine(vectors, other))
    np.testing.assert_allclose(scaled, [24 / 25, -1 / math.sqrt(50)], rtol=1e-6)


def test_pickle_is_not_loaded(tmp_path: Path) -> None:
    class Opened:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "projector.safetensors"
    path.write_bytes(pickle.dumps(Opened()))

    with pytest.raises(ProjectorError, match="not a readable safetensors file"):
        Projector.load(path)
    assert not (tmp_path / "ran").exists()


def test_cosine() -> None:
    vectors = np.array([[3, 0], [1, 1], [-2, 0], [0, 0]], np.float32)

    np.testing.assert_allclose(
        cosine(vectors, np.array([5, 0], np.float32)), [1, math.sqrt(0.5), -1, 0], rtol=1e-6
    )
