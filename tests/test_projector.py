from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import TensorSpec, serialize_file
from safetensors.numpy import save_file

from models.projector import Projector, ProjectorError, cosine

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
