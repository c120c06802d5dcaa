"""The GPUs that llama-server computes on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence

from app.doctor.finding import Finding, ok, problem
from app.doctor.llama_server import CommandError, output
from app.doctor.plan import Plan
from models import facts
from models.facts import Device


def find_devices(plan: Plan) -> Sequence[Device] | None:
    """The GPUs that llama-server would use; None where it does not tell them in time."""
    try:
        return facts.find_devices(plan.llama_server or (), facts.options())
    except TimeoutError:
        return None


def check_gpu(plan: Plan, devices: Sequence[Device] | None) -> Finding:
    """Whether llama-server sees the GPUs that the machine has."""
    subject = "GPU"
    if devices is None:
        return problem(
            subject,
            f"llama-server --list-devices does not end in {facts.LIST_SECONDS:g} s",
            "restart the GPU's driver; until then the CPU is used",
        )
    if devices:
        return ok(subject, ", ".join(f"{device.name} {device.description}" for device in devices))
    if facts.stays_on_cpu(facts.options()):
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


def _nvidia_gpus() -> str:
    """Names of the GPUs that NVIDIA's driver sees."""
    if not shutil.which("nvidia-smi"):
        return ""
    try:
        listed = output(["nvidia-smi"], "-L")
    except CommandError:
        return ""
    return ", ".join(re.findall(r"^GPU \d+: (.*?) \(", listed, re.MULTILINE))
