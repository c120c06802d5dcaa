"""The GPUs that llama-server computes on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from app.doctor.finding import Finding, ok, problem
from app.doctor.llama_server import CommandError, output
from app.doctor.plan import EMBEDDED, Plan
from app.settings import Settings

_DEVICE = re.compile(r"^ +([A-Za-z]+\d*): (.*?)(?: \((\d+) MiB, (\d+) MiB free\))?$", re.MULTILINE)


@dataclass(frozen=True)
class Device:
    """A GPU as llama-server names it, and its free bytes where llama-server tells them."""

    name: str
    description: str
    free: int | None


def find_devices(plan: Plan) -> list[Device]:
    """The GPUs that llama-server would use; none where it computes on the CPU."""
    # The embedded llama-server knows no GPU.
    if plan.llama_server in (None, EMBEDDED) or _stays_on_cpu(plan.settings):
        return []
    try:
        _, _, listed = output(plan.llama_server, "--list-devices").partition("Available devices:")
    except CommandError:
        return []
    devices = [
        Device(name, description, int(free) * 2**20 if free else None)
        for name, description, memory, free in _DEVICE.findall(listed)
        # Libraries for the CPU are listed as well, such as BLAS.
        if memory != "0" and name != "BLAS"
    ]
    chosen = plan.settings.llama_arg_device
    return [device for device in devices if not chosen or device.name in chosen.split(",")]


def check_gpu(plan: Plan, devices: Sequence[Device]) -> Finding:
    """Whether llama-server sees the GPUs that the machine has."""
    subject = "GPU"
    if devices:
        return ok(subject, ", ".join(f"{device.name} {device.description}" for device in devices))
    if _stays_on_cpu(plan.settings):
        return ok(subject, "not used, as set")
    unseen = _nvidia_gpus()
    if unseen:
        return problem(
            subject,
            f"llama-server does not see {unseen}",
            "use a llama-server built with CUDA, or set LLAMA_ARG_N_GPU_LAYERS=0 to stay on the "
            "CPU",
        )
    return ok(subject, "none is visible; llama-server computes on the CPU")


def _stays_on_cpu(settings: Settings) -> bool:
    return settings.llama_arg_n_gpu_layers == 0 or settings.llama_arg_device == "none"


def _nvidia_gpus() -> str:
    """Names of the GPUs that NVIDIA's driver sees."""
    if not shutil.which("nvidia-smi"):
        return ""
    try:
        listed = output(["nvidia-smi"], "-L")
    except CommandError:
        return ""
    return ", ".join(re.findall(r"^GPU \d+: (.*?) \(", listed, re.MULTILINE))
