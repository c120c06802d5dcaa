"""In which architecture a llama-server computes windows: asked once of each build.

A tiny random model is served and its states are compared with those computed here. With windows
they are others than without, which llama.cpp's `qwen3` may not know, and no answer would tell.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from models.digest import Stamp
from models.facts import EMBEDDED
from models.llama import qwen3
from models.llama.client import LlamaServer, LlamaServerError, LlamaServerUnavailable
from models.llama.fingerprint import Fingerprint, OtherWeights
from models.llama.head import Head
from models.llama.readout.prefix import PrefixReadout
from models.llama.windows import PLAIN, WINDOWED
from models.prepare import PrepareError, prepare

_RECORD = ".windows.json"
_SECONDS = 120.0
# These say where it computes, and so belong to what is asked.
_OPTIONS = {"LLAMA_ARG_DEVICE", "LLAMA_ARG_N_GPU_LAYERS"}

_LAYERS, _HIDDEN, _HEADS, _HEAD, _INNER = 3, 64, 2, 32, 64
_WINDOW, _TOKENS = 8, 48
_PATTERN = [True, True, False]


def architecture(llama_server: Sequence[str], folder: Path) -> str:
    """The architecture in which `llama_server` computes windows, `PLAIN` where it can.

    What is found is remembered in `folder`. Raises `PrepareError` if there is none.
    """
    build, record = _build(llama_server), folder / _RECORD
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(record.read_text())
        if known["build"] == build and known["architecture"] in (PLAIN, WINDOWED):
            return str(known["architecture"])
    for name in (PLAIN, WINDOWED):
        if _computes_windows(llama_server, name):
            with suppress(OSError):
                record.write_text(json.dumps({"build": build, "architecture": name}))
            return name
    raise PrepareError(
        f"{' '.join(llama_server)} does not compute layers with windows, neither in {PLAIN} nor in "
        f"{WINDOWED}: its scores would be wrong. Install a newer llama.cpp, or set "
        "LLAMA_SERVER_BIN to one"
    )


def _build(llama_server: Sequence[str]) -> list[Any]:
    """What changes when another llama-server is installed."""
    if tuple(llama_server) == EMBEDDED:
        return [*llama_server, importlib.metadata.version("xllamacpp")]
    binary = Path(shutil.which(llama_server[0]) or llama_server[0]).resolve()
    files = [binary, *sorted(binary.parent.glob("lib*llama*")), *binary.parent.glob("*ggml*")]
    return [*llama_server, *sorted([path.name, *astuple(Stamp.of(path))] for path in files)]


def _computes_windows(llama_server: Sequence[str], name: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source, copy = Path(folder, "model.gguf"), Path(folder, "copy.gguf")
        _write(source)
        prepare(source, copy, head_type="F32", windowed=name)
        head, ids = Head.read(copy), np.arange(_TOKENS) * 5 % 250
        assert head is not None
        fingerprint = Fingerprint(ids, copy, states=qwen3.hidden_states(copy, ids))
        port, key = _free_port(), secrets.token_hex()
        options = ("--ctx-size", "512", "--parallel", "1", "--flash-attn", "off")
        with subprocess.Popen(
            [*llama_server, "--model", str(copy), "--port", str(port), *options],
            env=_environment(key),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                return asyncio.run(_is_right(process, port, key, head, fingerprint))
            finally:
                process.kill()


async def _is_right(
    process: subprocess.Popen[bytes], port: int, key: str, head: Head, fingerprint: Fingerprint
) -> bool:
    """Whether llama-server computes the states of `fingerprint`; false if it cannot load them."""
    async with LlamaServer(f"http://127.0.0.1:{port}", _SECONDS, key) as server:
        if not await _loads(process, server):
            return False
        try:
            await PrefixReadout.connect(server, head, fingerprint)
        except OtherWeights:
            return False
        except LlamaServerError as error:
            raise PrepareError(f"whether llama-server has windows is not known: {error}") from error
    return True


async def _loads(process: subprocess.Popen[bytes], server: LlamaServer) -> bool:
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None:
        try:
            await server.check_health()
        except LlamaServerUnavailable as error:
            if time.monotonic() > deadline:
                raise PrepareError(f"llama-server is not ready in {_SECONDS:g} s") from error
            await asyncio.sleep(0.05)
        else:
            return True
    return False


def _environment(key: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LLAMA_ARG_") or name in _OPTIONS
    }
    return kept | {"LLAMA_API_KEY": key}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _write(path: Path) -> None:
    """The model: random weights, and a vocabulary of bytes."""
    writer = gguf.GGUFWriter(path, PLAIN)
    writer.add_block_count(_LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(_HIDDEN)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(1)
    writer.add_key_length(_HEAD)
    writer.add_value_length(_HEAD)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_sliding_window(_WINDOW)
    writer.add_sliding_window_pattern(_PATTERN)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    tokens = [*_bytes_as_letters(), "ab", "<|end|>"]
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.CONTROL])
    writer.add_token_merges(["a b"])
    writer.add_add_bos_token(False)
    writer.add_eos_token_id(257)
    random = np.random.default_rng(0)
    for name, shape in _shapes(len(tokens)).items():
        gain = 3 / np.sqrt(shape[-1]) if len(shape) == 2 else 1.0
        values = random.standard_normal(shape, np.float32) * np.float32(gain)
        writer.add_tensor(f"{name}.weight", values if len(shape) == 2 else np.abs(values) + 0.5)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _bytes_as_letters() -> list[str]:
    """The 256 bytes as byte-level BPE writes them: what is no visible letter, behind the rest."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return [*map(chr, visible), *(chr(256 + i) for i in range(len(hidden)))]


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd": (vocabulary, _HIDDEN),
        "output_norm": (_HIDDEN,),
    }
    for i in range(_LAYERS):
        layer = {
            "attn_norm": (_HIDDEN,),
            "attn_q": (_HEADS * _HEAD, _HIDDEN),
            "attn_k": (_HEAD, _HIDDEN),
            "attn_v": (_HEAD, _HIDDEN),
            "attn_q_norm": (_HEAD,),
            "attn_k_norm": (_HEAD,),
            "attn_output": (_HIDDEN, _HEADS * _HEAD),
            "ffn_norm": (_HIDDEN,),
            "ffn_gate": (_INNER, _HIDDEN),
            "ffn_up": (_INNER, _HIDDEN),
            "ffn_down": (_HIDDEN, _INNER),
        }
        shapes |= {f"blk.{i}.{name}": shape for name, shape in layer.items()}
    return shapes
