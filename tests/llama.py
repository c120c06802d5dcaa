"""An embedded llama-server of a test's own, on a port that outlives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
from typing_extensions import Self

from models.llama.client import TokenIds
from toolkit.running import ROOT, environment, free_port, wait_until

_FLAGS = "--threads 1 --parallel 1 --ctx-size 1024 --flash-attn off --cache-ram 0 --verbosity 0"


class EmbeddedServer:
    """Serves one GGUF after the other at `url`."""

    def __init__(self, *flags: str) -> None:
        port = str(free_port())
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "models.llama.embedded", "--port", port]
        self._command += [*_FLAGS.split(), *flags]
        self._process: subprocess.Popen[bytes] | None = None

    def serve(self, gguf: Path) -> None:
        """Kill what is served so far and serve `gguf`."""
        self.kill()
        self._process = subprocess.Popen(
            [*self._command, "--model", str(gguf)], cwd=ROOT, env=environment()
        )
        wait_until(self._ready)

    def kill(self) -> None:
        """End it the hard way."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def complete(self, prompt: TokenIds) -> None:
        """Have its slot complete `prompt`, as another client would."""
        body = {"prompt": prompt.tolist(), "n_predict": 1, "id_slot": 0}
        httpx.post(f"{self.url}/completion", json=body).raise_for_status()

    def _ready(self) -> bool:
        assert self._process
        assert self._process.poll() is None
        try:
            return httpx.get(f"{self.url}/health").status_code == 200
        except httpx.HTTPError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
