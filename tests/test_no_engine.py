"""The container tests where no engine can run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from toolkit.running import ROOT


def test_distinct_status_and_reason(tmp_path: Path) -> None:
    for name, script in (("docker", "exit 1"), ("dockerd", "echo no cgroups; exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    done = subprocess.run(
        [ROOT / "tests/container/run.sh"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 77
    assert "no cgroups. No container was tested." in done.stderr
