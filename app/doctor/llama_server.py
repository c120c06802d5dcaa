"""The llama-server that start.sh would run."""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from app.doctor.finding import Finding, ok, problem, skipped
from app.doctor.plan import Plan
from models.facts import EMBEDDED
from models.plan import shape_of

_SECONDS = 60
_FLAGS = (
    *("--api-key", "--model", "--host", "--port"),
    *("--ctx-size", "--parallel", "--flash-attn", "--verbosity"),
)
_POOLING_FLAGS = ("--embeddings", "--pooling", "--batch-size", "--ubatch-size")
_CACHE_FLAGS = ("--cache-ram",)
_WINDOW_FLAGS = ("--ctx-checkpoints",)


class CommandError(Exception):
    """A command cannot be run, or failed; the message is its own."""


def check_llama_server(plan: Plan) -> Finding:
    """Whether there is a llama-server that runs and knows the options that start.sh sets."""
    subject = "llama-server"
    if plan.llama_server is None:
        named = plan.settings.llama_server_bin
        if plan.running and not named:
            return skipped(subject, "none found here; the running service has its own")
        return problem(
            subject,
            f"LLAMA_SERVER_BIN={named} cannot be run" if named else "none found",
            "install llama.cpp and put llama-server on the PATH or in LLAMA_SERVER_BIN, or install "
            "the embedded one: pip install xllamacpp",
        )
    try:
        known = output(plan.llama_server, "--help")
    except CommandError as error:
        return problem(
            subject,
            f"{plan.llama_server[0]} does not run: {error}",
            "install it again, or set LLAMA_SERVER_BIN to another one",
        )
    version = _version(plan.llama_server)
    shape = shape_of(plan.settings, None, on_gpu=False)
    pools = "LLAMA_ARG_POOLING" in shape.forced
    flags = (*_FLAGS, *(_POOLING_FLAGS if pools else _CACHE_FLAGS))
    if "LLAMA_ARG_CTX_CHECKPOINTS" in shape.defaults:
        flags = (*flags, *_WINDOW_FLAGS)
    unknown = ", ".join(flag for flag in flags if not re.search(rf"{flag}\b", known))
    if unknown:
        return problem(subject, f"{version} does not know {unknown}", "install a newer llama.cpp")
    ignored = list(_ignored(known))
    if ignored:
        told = f"{version} does not know {', '.join(ignored)}"
        return problem(subject, told, "correct the variables, or unset them")
    return ok(subject, version)


def _ignored(known: str) -> Iterator[str]:
    """Options that are set and do not stand in the help of llama-server, which ignores them."""
    variables = set(re.findall(r"\bLLAMA_ARG_\w+", known))
    for name in sorted(os.environ) if variables else ():
        # Whatever can be switched has a second variable that switches it off.
        if name.startswith("LLAMA_ARG_") and name.replace("ARG_NO_", "ARG_", 1) not in variables:
            meant = difflib.get_close_matches(name, variables, n=1)
            yield name + (f" (did you mean {meant[0]}?)" if meant else "")


def output(command: Sequence[str], argument: str) -> str:
    """What `command argument` prints on both outputs; raises `CommandError`."""
    try:
        done = subprocess.run(
            [*command, argument],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(str(error)) from error
    printed = done.stdout.decode(errors="replace").strip()
    if done.returncode:
        raise CommandError(printed.rpartition("\n")[2] or f"exit status {done.returncode}")
    return printed


def _version(command: Sequence[str]) -> str:
    if tuple(command) == EMBEDDED:
        return f"embedded, xllamacpp {importlib.metadata.version('xllamacpp')}"
    try:
        found = re.search(r"version: (\S+)", output(command, "--version"))
    except CommandError:
        found = None
    return f"{shutil.which(command[0])}, version {found[1] if found else 'unknown'}"
