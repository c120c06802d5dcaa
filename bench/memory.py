"""Memory of processes and of the GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path


def peak_rss(pid: int) -> int:
    """Most memory that the process `pid` had resident so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def vram_in_use() -> int:
    """Memory in use on all NVIDIA GPUs together, in bytes; 0 where there is none."""
    values = nvidia_smi("memory.used")
    return sum(int(value) * 2**20 for value in values)


def nvidia_smi(field: str) -> list[str]:
    """`field` of each NVIDIA GPU; empty where there is none."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []
