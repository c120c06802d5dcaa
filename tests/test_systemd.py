"""The unit for a machine without containers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from toolkit.debian import skip_without
from toolkit.running import ROOT


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, of a service that is installed where this project is."""
    skip_without("systemd", shutil.which("systemd-analyze") is not None)
    text = (ROOT / "systemd/jina-reranker.service").read_text()
    here = tmp_path / "jina-reranker.service"
    # Its commands must exist to be valid.
    here.write_text(text.replace("/opt/jina-reranker", str(ROOT)))
    return here


def test_unit_is_valid(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "jina-reranker" not in done.stderr


def test_unit_leaves_little_exposed(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
    )

    level = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", done.stdout)
    assert level, done.stderr
    assert float(level[1]) < 2.5
