"""Which GGUF of a folder is served."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.files import find_gguf

NAMES = [
    "m-F16.gguf",
    "m-Q8_0.gguf",
    "m-Q4_K_M.gguf",
    "m.IQ4_XS.GGUF",
    "m-bf16.gguf",
    "m-Q8_0.1234.prefix.gguf",
    "m-Q8_0.gguf.part",
    "projector.safetensors",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seconds, name in enumerate(NAMES):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (seconds, seconds))
    return tmp_path


@pytest.mark.parametrize(
    ("quant", "name"),
    [
        ("", "m-bf16.gguf"),
        ("Q8_0", "m-Q8_0.gguf"),
        ("q8_0", "m-Q8_0.gguf"),
        ("q4_k_m", "m-Q4_K_M.gguf"),
        ("BF16", "m-bf16.gguf"),
        ("f16", "m-F16.gguf"),
        ("iq4_xs", "m.IQ4_XS.GGUF"),
        ("8_0", None),
        ("prefix", None),
        ("*", None),
        ("[mM]-F16", None),
    ],
)
def test_quant_is_the_last_part_of_the_name(folder: Path, quant: str, name: str | None) -> None:
    found = find_gguf(folder, quant)

    assert found == (folder / name if name else None)


def test_only_files_count(tmp_path: Path) -> None:
    (tmp_path / "folder-Q8_0.gguf").mkdir()
    (tmp_path / "dangling-Q8_0.gguf").symlink_to(tmp_path / "nowhere")
    assert find_gguf(tmp_path, "Q8_0") is None
    assert find_gguf(tmp_path / "absent") is None

    (tmp_path / "link-Q8_0.gguf").symlink_to(__file__)
    assert find_gguf(tmp_path, "Q8_0") == tmp_path / "link-Q8_0.gguf"
