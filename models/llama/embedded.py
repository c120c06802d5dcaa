"""llama-server out of a Python wheel: `xllamacpp` behind the flags and variables of llama-server.

For tests and first tries on a machine without a llama-server binary; it runs on the CPU only.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xllamacpp

_FLASH_ATTENTION = {
    "on": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    "auto": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_AUTO,
}
_POOLING = {
    name: getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{name.upper()}")
    for name in ("none", "mean", "cls", "last", "rank")
}
_TRUE = {"1", "true", "on", "enabled", "yes"}


@dataclass(frozen=True)
class Option:
    """One llama-server option: its flags, its environment variable and the parameter it sets."""

    flags: tuple[str, ...]
    variable: str
    parameter: str
    convert: Callable[[str], Any] = int
    default: str | None = None


def _switch(value: str) -> bool:
    return value.lower() in _TRUE


def _values(text: str) -> list[str]:
    return [value for value in text.split(",") if value]


def _lines(path: str) -> list[str]:
    """Lines of a file, without those that are comments."""
    return [line for line in Path(path).read_text().splitlines() if line and line[0] != "#"]


def _ggml_type(name: str) -> xllamacpp.ggml_type:
    return xllamacpp.ggml_type.__members__[f"GGML_TYPE_{name.upper()}"]


OPTIONS = (
    Option(("-m", "--model"), "LLAMA_ARG_MODEL", "model.path", str),
    Option(("--host",), "LLAMA_ARG_HOST", "hostnames", lambda host: [host], "127.0.0.1"),
    Option(("--port",), "LLAMA_ARG_PORT", "port", int, "8080"),
    Option(("-ngl", "--n-gpu-layers"), "LLAMA_ARG_N_GPU_LAYERS", "n_gpu_layers"),
    Option(("-c", "--ctx-size"), "LLAMA_ARG_CTX_SIZE", "n_ctx"),
    Option(("-b", "--batch-size"), "LLAMA_ARG_BATCH", "n_batch"),
    Option(("-ub", "--ubatch-size"), "LLAMA_ARG_UBATCH", "n_ubatch"),
    Option(("-np", "--parallel"), "LLAMA_ARG_N_PARALLEL", "n_parallel"),
    Option(("-t", "--threads"), "LLAMA_ARG_THREADS", "cpuparams.n_threads"),
    Option(
        ("-fa", "--flash-attn"),
        "LLAMA_ARG_FLASH_ATTN",
        "flash_attn_type",
        _FLASH_ATTENTION.__getitem__,
    ),
    Option(("--pooling",), "LLAMA_ARG_POOLING", "pooling_type", _POOLING.__getitem__),
    Option(("--metrics",), "LLAMA_ARG_ENDPOINT_METRICS", "endpoint_metrics", _switch),
    Option(("--embeddings",), "LLAMA_ARG_EMBEDDINGS", "embedding", _switch),
    Option(("-ctk", "--cache-type-k"), "LLAMA_ARG_CACHE_TYPE_K", "cache_type_k", _ggml_type),
    Option(("-ctv", "--cache-type-v"), "LLAMA_ARG_CACHE_TYPE_V", "cache_type_v", _ggml_type),
    Option(("-cram", "--cache-ram"), "LLAMA_ARG_CACHE_RAM", "cache_ram_mib"),
    Option(("--swa-full",), "LLAMA_ARG_SWA_FULL", "swa_full", _switch),
    Option(("-ctxcp", "--ctx-checkpoints"), "LLAMA_ARG_CTX_CHECKPOINTS", "n_ctx_checkpoints"),
    Option(("--api-key",), "LLAMA_API_KEY", "api_keys", _values),
    Option(("--api-key-file",), "LLAMA_ARG_API_KEY_FILE", "api_keys", _lines),
    Option(("--cors-origins",), "LLAMA_ARG_CORS_ORIGINS", "cors_origins", str),
    Option(("--slots",), "LLAMA_ARG_ENDPOINT_SLOTS", "endpoint_slots", _switch),
    Option(("--ui",), "LLAMA_ARG_UI", "ui", _switch),
    Option(("-lv", "--verbosity"), "LLAMA_ARG_LOG_VERBOSITY", "verbosity"),
)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="embedded llama-server", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--list-devices", action="store_true", help="list accelerators and exit")
    for option in OPTIONS:
        value = os.environ.get(option.variable, option.default)
        if option.convert is _switch:
            switch: dict[str, Any] = {"action": "store_const", "const": "1"}
        else:
            switch = {}
        # As llama-server's own help names them.
        told = f"(env: {option.variable})"
        parser.add_argument(*option.flags, dest=option.variable, default=value, help=told, **switch)
    return parser.parse_args(arguments)


def _parameters(values: argparse.Namespace) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    for option in OPTIONS:
        value = getattr(values, option.variable)
        if value is None:
            continue
        *parents, name = option.parameter.split(".")
        target = parameters
        for parent in parents:
            target = getattr(target, parent)
        try:
            converted = option.convert(value)
            # Keys come from two options, which add to each other.
            setattr(
                target, name, [*target.api_keys, *converted] if name == "api_keys" else converted
            )
        except (KeyError, ValueError):
            sys.exit(f"embedded llama-server: {option.variable} cannot be {value!r}")
    return parameters


def _warn_of_unknown_variables() -> None:
    known = {option.variable for option in OPTIONS}
    for name in sorted(os.environ):
        if name.startswith("LLAMA_ARG_") and name not in known:
            print(f"embedded llama-server ignores {name}", file=sys.stderr)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    values = _parse(sys.argv[1:])
    if values.list_devices:
        print("Available devices:\n  (none)")
        return
    _warn_of_unknown_variables()
    signals = {signal.SIGTERM, signal.SIGINT}
    # Blocked before the server's threads start, so that they inherit it and sigwait gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        server = xllamacpp.Server(_parameters(values))
    except RuntimeError as error:
        sys.exit(f"embedded llama-server: {error}")
    signal.sigwait(signals)
    del server


if __name__ == "__main__":
    main()
