"""What a start finds on this machine: llama-server, its GPUs, the model's header, the memory."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from models.llama.gguf import GGUFError, read_header

EMBEDDED = (sys.executable, "-m", "models.llama.embedded")
# A driver that hangs must not hang the start.
LIST_SECONDS = 20.0

_DEVICE = re.compile(r"^ +([A-Za-z]+\d*): (.*?)(?: \((\d+) MiB, (\d+) MiB free\))?$", re.MULTILINE)
# Libraries of the CPU that llama-server lists among its devices.
_NO_GPU = re.compile(r"(BLAS|zDNN|ZenDNN)\d*", re.IGNORECASE)


class Wishes(Protocol):
    """The settings that say where to look."""

    @property
    def llama_server_bin(self) -> str | Path | None:
        """A llama-server by path or name; None: the one that is found."""

    @property
    def llama_server_url(self) -> str | None:
        """A llama-server that runs already."""


@dataclass(frozen=True)
class Device:
    """A GPU as llama-server names it, and its free bytes where llama-server tells them."""

    name: str
    description: str
    free: int | None


@dataclass(frozen=True)
class Facts:
    """`options` are the LLAMA_ARG_… of the environment, `context` is the model's own, in tokens.

    `llama_server` is the command that runs it, None where there is none; `devices` are the GPUs
    that it sees, unknown unless `listed`: it did not tell them in time. `memory` is the most that
    all processes here may take together, in bytes.
    """

    llama_server: Sequence[str] | None = None
    devices: Sequence[Device] = ()
    listed: bool = True
    gguf: Path | None = None
    context: int | None = None
    memory: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def gather(wishes: Wishes, gguf: Path | None) -> Facts:
    """Look; `gguf` is the file that llama-server is to serve, if it is known and there."""
    given = options()
    command = None if wishes.llama_server_url else find_llama_server(wishes.llama_server_bin)
    try:
        devices = find_devices(command, given) if command else ()
    except TimeoutError:
        devices = None
    return Facts(
        llama_server=command,
        devices=devices or (),
        listed=devices is not None,
        gguf=gguf,
        context=_context(gguf) if gguf else None,
        memory=memory_limit(),
        options=given,
    )


def options() -> dict[str, str]:
    """The LLAMA_ARG_… of the environment; one that is empty is not set."""
    found = ((name, value) for name, value in os.environ.items() if name.startswith("LLAMA_ARG_"))
    return {name: value for name, value in found if value}


def find_llama_server(binary: str | Path | None) -> Sequence[str] | None:
    """The command of `binary`, or of the llama-server that is installed; None if there is none."""
    for candidate in [binary] if binary else ["llama-server", "/app/llama-server"]:
        if found := shutil.which(candidate):
            return (found,)
    if not binary and importlib.util.find_spec("xllamacpp"):
        return EMBEDDED
    return None


def find_devices(
    command: Sequence[str], options: Mapping[str, str], seconds: float = LIST_SECONDS
) -> Sequence[Device]:
    """The GPUs that llama-server would use; none where it stays on the CPU.

    Raises `TimeoutError` after `seconds`.
    """
    # The embedded llama-server knows no GPU.
    if not command or tuple(command) == EMBEDDED or stays_on_cpu(options):
        return ()
    _, _, listed = _output([*command, "--list-devices"], seconds).partition("Available devices:")
    devices = [
        Device(name, description, int(free) * 2**20 if free else None)
        for name, description, _, free in _DEVICE.findall(listed)
        if not _NO_GPU.fullmatch(name)
    ]
    chosen = options.get("LLAMA_ARG_DEVICE", "")
    return [device for device in devices if not chosen or device.name in chosen.split(",")]


def stays_on_cpu(options: Mapping[str, str]) -> bool:
    """Whether llama-server is told not to use a GPU."""
    return options.get("LLAMA_ARG_N_GPU_LAYERS") == "0" or options.get("LLAMA_ARG_DEVICE") == "none"


def memory_limit() -> int | None:
    """Bytes of this machine, or of the container where that is less; None if neither is told."""
    limits = []
    with contextlib.suppress(OSError, IndexError):
        total = re.findall(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())[0]
        limits.append(1024 * int(total))
    # Of cgroup v2 and v1.
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError):
            limit = Path("/sys/fs/cgroup", name).read_text().strip()
            limits += [int(limit)] if limit.isdecimal() else []
    return min(limits, default=None)


def _context(gguf: Path) -> int | None:
    try:
        metadata = read_header(gguf).metadata
        return int(metadata[f"{metadata['general.architecture']}.context_length"])
    except (GGUFError, OSError, KeyError, TypeError, ValueError):
        return None


def _output(command: Sequence[str], seconds: float) -> str:
    """What `command` prints, empty if it cannot be run; it ends with all its children."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return ""
    try:
        return process.communicate(timeout=seconds)[0].decode(errors="replace")
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{' '.join(command)} did not end in {seconds:g} s") from error
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
