"""The unit for a machine without containers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.running import ROOT


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd on this machine")
def test_unit_is_valid(tmp_path: Path) -> None:
    unit = (ROOT / "systemd/jina-reranker.service").read_text()
    here = tmp_path / "jina-reranker.service"
    # Its commands must exist to be valid.
    here.write_text(unit.replace("/opt/jina-reranker", str(ROOT)))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "jina-reranker" not in done.stderr
