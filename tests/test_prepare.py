"""`python -m models.prepare`, read back with the gguf package."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader

from models.llama.head import Head
from models.prepare import prepare
from toolkit import tiny_model
from toolkit.running import ROOT, environment, run_on_terminal


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "models.prepare", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("head_type", ["F16", "F32"])
def test_all_but_the_head_is_the_same(model: Path, tmp_path: Path, head_type: str) -> None:
    source, target = model / "model.gguf", tmp_path / "out.gguf"

    assert run(source, target, "--head-type", head_type).returncode == 0

    before, after = GGUFReader(source), GGUFReader(target)
    head = after.tensors.pop()
    assert head.name == "output.weight"
    assert head.tensor_type == GGMLQuantizationType[head_type]
    for old, new in zip(before.tensors, after.tensors, strict=True):
        assert (old.name, old.tensor_type) == (new.name, new.tensor_type)
        assert old.data.tobytes() == new.data.tobytes()
    fields = [name for name in before.fields if not name.startswith("GGUF.")]
    assert [name for name in after.fields if not name.startswith("GGUF.")] == [
        *fields,
        "reranker.head",
        "reranker.head.scale",
        "reranker.source.sha256",
    ]
    for name in fields:
        old_bytes, new_bytes = (
            b"".join(part.tobytes() for part in reader.fields[name].parts)
            for reader in (before, after)
        )
        assert old_bytes == new_bytes


def test_progress_bar_on_a_terminal(model: Path, tmp_path: Path) -> None:
    arguments = [str(model / "model.gguf"), str(tmp_path / "out.gguf")]

    shown = run_on_terminal(
        [sys.executable, "-m", "models.prepare", *arguments], cwd=ROOT, env=environment()
    )

    assert "preparing: 100%" in shown


def test_head_divides_by_the_norm(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    prepare(model / "model.gguf", target)

    tensors = {tensor.name: tensor.data for tensor in GGUFReader(target).tensors}
    head, weight = np.asarray(tensors["output.weight"]), np.asarray(tensors["output_norm.weight"])

    size = len(weight)
    expected = np.zeros((len(tensors["token_embd.weight"]), size))
    expected[range(size), range(size)] = 1 / weight
    expected[range(size, 2 * size), range(size)] = -1 / weight
    np.testing.assert_allclose(head, expected, rtol=2**-11)
    read = Head.read(target)
    assert read is not None
    np.testing.assert_array_equal(read.scale, np.diag(head).astype(np.float32))
    np.testing.assert_array_equal(read.matrix, np.eye(size, dtype=np.float32))


def test_zero_weight_has_a_zero_row(tmp_path: Path) -> None:
    tiny = tiny_model.make()
    tiny.tensors["model.norm.weight"][7] = 0
    tiny.write(tmp_path)
    prepare(tmp_path / "model.gguf", tmp_path / "out.gguf")

    head = Head.read(tmp_path / "out.gguf")

    assert head is not None
    assert np.flatnonzero(head.scale == 0).tolist() == [7]


def test_own_head_is_replaced_only_by_force(tmp_path: Path) -> None:
    tiny = tiny_model.make()
    tiny.tensors["lm_head.weight"] = tiny.tensors["model.embed_tokens.weight"][::-1]
    tiny.write(tmp_path)
    source, target = tmp_path / "model.gguf", tmp_path / "out.gguf"

    refused = run(source, target)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert not target.exists()

    assert run(source, target, "--force").returncode == 0
    before, after = GGUFReader(source), GGUFReader(target)
    kept = [tensor for tensor in before.tensors if tensor.name != "output.weight"]
    assert [t.data.tobytes() for t in kept] == [t.data.tobytes() for t in after.tensors[:-1]]


def test_prepared_file_is_recognised(model: Path, exact_gguf: Path) -> None:
    again = run(exact_gguf, model / "again.gguf")
    assert again.returncode == 1
    assert "has the readout head already" in again.stderr

    assert run(exact_gguf).stdout.strip() == str(exact_gguf)
    assert Head.read(model / "model.gguf") is None


def test_norm_out_of_range_of_f16(tmp_path: Path) -> None:
    tiny = tiny_model.make()
    tiny.tensors["model.norm.weight"][0] = 1e-6
    tiny.write(tmp_path)

    refused = run(tmp_path / "model.gguf", tmp_path / "out.gguf")
    assert refused.returncode == 1
    assert "--head-type F32" in refused.stderr
    assert not (tmp_path / "out.gguf").exists()

    exact = run(tmp_path / "model.gguf", tmp_path / "out.gguf", "--head-type", "F32")
    assert exact.returncode == 0


@pytest.mark.parametrize("size", [0, 10, 3_000, 20_000])
def test_cut_off_file(model: Path, tmp_path: Path, size: int) -> None:
    (tmp_path / "cut.gguf").write_bytes((model / "model.gguf").read_bytes()[:size])

    refused = run(tmp_path / "cut.gguf", tmp_path / "out.gguf")

    assert refused.returncode == 1
    assert "cut" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "out.gguf").exists()


def test_memory_does_not_grow_with_the_file(model: Path, tmp_path: Path) -> None:
    """A tensor of 1.2 GB, most of it a hole in the file, passes through a few megabytes."""
    source, target = tmp_path / "large.gguf", tmp_path / "out.gguf"
    content = (model / "model.gguf").read_bytes()
    count = struct.unpack_from("<Q", content, 8)[0]
    reader = GGUFReader(model / "model.gguf")
    start, end = reader.tensors[0].field.offset, reader.data_offset
    info = struct.pack("<Q5sI1QIQ", 5, b"large", 1, 300_000_000, 0, len(content) - end)
    last = reader.tensors[-1].field
    infos = content[start : last.offset + sum(part.nbytes for part in last.parts)] + info
    header = content[:8] + struct.pack("<Q", count + 1) + content[16:start] + infos
    header += bytes(-len(header) % 32)
    with source.open("wb") as file:
        file.write(header + content[end:])
        file.truncate(file.tell() + 1_200_000_000)
    script = "from models import prepare; prepare.main(); print(open('/proc/self/status').read())"

    done = subprocess.run(
        [sys.executable, "-c", script, source, target], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert target.stat().st_size > 1_200_000_000
    peak = re.findall(r"VmHWM:\s+(\d+) kB", done.stdout)
    assert int(peak[0]) < 100_000
