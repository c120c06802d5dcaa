"""Folders and files that another user owns, or that are mounted read-only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.running import ROOT, environment

# Root may use everything but for this.
AS_OTHERS = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
)


def run(module: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # Nobody answers there: what is refused is refused before a hub is asked.
    variables = environment(PYTHONPATH=str(ROOT), HF_ENDPOINT="http://127.0.0.1:9")
    return subprocess.run(
        [*AS_OTHERS, sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    """weights/jina-reranker-v3 with a GGUF."""
    folder = tmp_path / "weights/jina-reranker-v3"
    folder.mkdir(parents=True)
    (folder / "model.gguf").write_bytes((model / "model.gguf").read_bytes())
    return folder


@pytest.mark.parametrize("closed", ["weights", "weights/jina-reranker-v3"])
@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_folder_that_may_not_be_written(folder: Path, closed: str, mode: int) -> None:
    root = folder.parents[1]
    if closed == "weights":
        (folder / "model.gguf").unlink()
        folder.rmdir()
    (root / closed).chmod(mode)

    done = run("models.download", "jina-reranker-v3", cwd=root)

    (root / closed).chmod(0o755)
    assert done.returncode == 1
    assert f"chown -R {os.geteuid()} {root / closed} " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [".", "model.gguf"])
def test_gguf_that_may_not_be_prepared(folder: Path, closed: str) -> None:
    (folder / closed).chmod(0o500 if closed == "." else 0o000)

    done = run("models.prepare", str(folder / "model.gguf"), cwd=ROOT)

    (folder / closed).chmod(0o755)
    assert done.returncode == 1
    assert f"chown -R {os.geteuid()} {folder} " in done.stderr
    assert "Traceback" not in done.stderr
