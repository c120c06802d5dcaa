"""llama-server: its binary, and the devices that it computes on."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from dataclasses import dataclass

from app.doctor.finding import Finding, ok, problem
from app.doctor.plan import Plan, variable

_SECONDS = 60
_FLAGS = ("--model", "--host", "--port", "--ctx-size", "--parallel", "--flash-attn", "--verbosity")
_READOUT_FLAGS = {
    "prefix": ("--cache-ram",),
    "embedding": ("--embeddings", "--pooling", "--batch-size", "--ubatch-size"),
}
_DEVICE = re.compile(r"^ +([A-Za-z]+\d*): (.*?)(?: \(\d+ MiB, (\d+) MiB free\))?$", re.MULTILINE)


@dataclass(frozen=True)
class Device:
    """A GPU as llama-server names it, and its free bytes where llama-server tells them."""

    name: str
    description: str
    free: int | None


class EngineError(Exception):
    """llama-server cannot be run; the message is its own."""


def check_engine(plan: Plan) -> Finding:
    """Whether there is a llama-server with the flags that start.sh gives it."""
    subject = "llama-server"
    if plan.llama_server is None:
        missing = variable("LLAMA_SERVER_BIN")
        return problem(
            subject,
            f"LLAMA_SERVER_BIN={missing} cannot be run" if missing else "none found",
            "install llama.cpp and put llama-server on the PATH or in LLAMA_SERVER_BIN, or install "
            "the embedded one: pip install xllamacpp",
        )
    try:
        help_text = _output(plan.llama_server, "--help")
        version = _version(plan.llama_server)
    except EngineError as error:
        return problem(
            subject,
            f"{plan.llama_server[0]} does not run: {error}",
            "install it again, or set LLAMA_SERVER_BIN to another one",
        )
    wanted = (*_FLAGS, *_READOUT_FLAGS[plan.settings.readout])
    missing = ", ".join(flag for flag in wanted if not re.search(rf"{flag}\b", help_text))
    if missing:
        return problem(subject, f"{version} has no {missing}", "install a newer llama.cpp")
    return ok(subject, version)


def find_devices(plan: Plan) -> list[Device]:
    """The GPUs that llama-server would use; none where it computes on the CPU."""
    chosen = variable("LLAMA_ARG_DEVICE")
    if plan.llama_server is None or chosen == "none" or variable("LLAMA_ARG_N_GPU_LAYERS") == "0":
        return []
    try:
        listed = _DEVICE.findall(_output(plan.llama_server, "--list-devices"))
    except EngineError:
        return []
    devices = [
        Device(name, description, int(free) * 2**20 if free else None)
        for name, description, free in listed
    ]
    return [device for device in devices if not chosen or device.name in chosen.split(",")]


def check_gpu(devices: list[Device]) -> Finding:
    """Whether llama-server sees the GPUs that the machine has."""
    subject = "GPU"
    if devices:
        return ok(subject, ", ".join(f"{device.name} {device.description}" for device in devices))
    if variable("LLAMA_ARG_N_GPU_LAYERS") == "0" or variable("LLAMA_ARG_DEVICE") == "none":
        return ok(subject, "not used, as set")
    unused = _nvidia_gpus()
    if unused:
        return problem(
            subject,
            f"llama-server does not see {unused}",
            "use a llama-server built with CUDA, or set LLAMA_ARG_N_GPU_LAYERS=0 to stay on the "
            "CPU",
        )
    return ok(subject, "none is visible; llama-server computes on the CPU")


def _nvidia_gpus() -> str:
    """The names of the GPUs that NVIDIA's driver sees."""
    if not shutil.which("nvidia-smi"):
        return ""
    try:
        listed = _output(["nvidia-smi"], "-L")
    except EngineError:
        return ""
    return ", ".join(re.findall(r"^GPU \d+: (.*?) \(", listed, re.MULTILINE))


def _version(command: list[str]) -> str:
    if command[-1] == "models.embedded_server":
        return f"embedded, xllamacpp {importlib.metadata.version('xllamacpp')}"
    found = re.search(r"version: (\S+)", _output(command, "--version"))
    return f"{shutil.which(command[0])}, version {found[1] if found else 'unknown'}"


def _output(command: list[str], argument: str) -> str:
    """Both outputs of `command argument`; raises `EngineError`."""
    try:
        done = subprocess.run(
            [*command, argument],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(str(error)) from error
    output = done.stdout.decode(errors="replace").strip()
    if done.returncode:
        raise EngineError(output.rpartition("\n")[2] or f"exit status {done.returncode}")
    return output
