"""The test suite itself, where a machine is not as it expects."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from toolkit.running import ROOT, environment

# What a shell does to the programs in its background.
IGNORE_SIGINT = "import os, signal, sys; signal.signal(2, 1); os.execv(sys.argv[1], sys.argv[1:])"


def test_children_hear_interrupts() -> None:
    child = "import signal; print(signal.getsignal(signal.SIGINT).__name__)"
    assert subprocess.check_output([sys.executable, "-c", child]) == b"default_int_handler\n"


def test_in_the_background_and_without_packages(tmp_path: Path) -> None:
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(folder).glob("*"):
            (tmp_path / program.name).unlink(missing_ok=True)
            (tmp_path / program.name).symlink_to(program)
    for name in ("chromium", "systemd-analyze"):
        (tmp_path / name).unlink(missing_ok=True)
    tests = [f"{__file__}::{test_children_hear_interrupts.__name__}"]
    tests += ["tests/playground/test_form.py", "tests/test_systemd.py"]

    done = subprocess.run(
        [sys.executable, "-c", IGNORE_SIGINT, sys.executable, "-m", "pytest", *tests],
        cwd=ROOT,
        env=environment(PATH=str(tmp_path)),
        capture_output=True,
        text=True,
    )

    counts = re.fullmatch(r"1 passed, (\d+) skipped in .*", done.stdout.splitlines()[-2])
    assert counts, done.stdout
    assert done.stdout.splitlines()[-1] == (
        f"NOT TESTED: {counts[1]} tests; as root: apt-get install chromium systemd"
    )
