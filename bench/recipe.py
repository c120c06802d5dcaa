"""The published recipe: command-line tools of llama.cpp, started for each request."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from bench.work import Request
from models.jina.projector import Projector, cosine


class Recipe:
    """`llama-tokenize` finds the special tokens, `llama-embedding` their hidden states."""

    name = "llama-embedding"

    def __init__(self, folder: Path, embedding: str, tokenize: str) -> None:
        self._model = folder / "model.gguf"
        self._projector = Projector.load(folder / "projector.safetensors")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._embed = tokenizer.token_to_id("<|embed_token|>")
        self._rerank = tokenizer.token_to_id("<|rerank_token|>")
        self._embedding, self._tokenize = embedding, tokenize
        self._peaks = {"llama-embedding": 0, "llama-tokenize": 0}
        # Each request loads the model, so they take turns.
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Nothing stays running between requests."""
        yield

    async def answer(self, request: Request) -> int:
        """Run both tools and rank."""
        async with self._turn:
            return await asyncio.to_thread(self._answer, request)

    def _answer(self, request: Request) -> int:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as prompt:
            # llama-embedding drops a newline at the end of the file and llama-tokenize does not.
            prompt.write(request.prompt.rstrip("\n"))
            prompt.flush()
            options = ["--model", str(self._model), "--file", prompt.name]
            ids = np.array(json.loads(self._run([self._tokenize, *options, "--ids"])))
            batch = str(len(ids))
            options += ["--pooling", "none", "--embd-normalize", "-1"]
            options += ["--embd-output-format", "json", "--embd-separator", "<#separator#>"]
            options += ["--ctx-size", batch, "--batch-size", batch, "--ubatch-size", batch]
            rows = json.loads(self._run([self._embedding, *options]))["data"]
        states = np.array([row["embedding"] for row in rows], np.float32)
        vectors = self._projector(states[(ids == self._embed) | (ids == self._rerank)])
        np.argsort(-cosine(vectors[:-1], vectors[-1]))
        return len(ids)

    def _run(self, command: list[str]) -> str:
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise RuntimeError(f"{shlex.join(command)} failed")
            name = Path(command[0]).name
            self._peaks[name] = max(self._peaks[name], usage.ru_maxrss * 1024)
            output.seek(0)
            return output.read()

    def server(self) -> str:
        """The tools are those beside llama-server."""
        return "llama-embedding and llama-tokenize"

    def peak_rss(self) -> dict[str, int]:
        """Of each tool."""
        return dict(self._peaks)

    async def model_seconds(self) -> float | None:
        """They keep no clock."""
        return None
