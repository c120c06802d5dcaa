"""transformers with a random model of the same shape, in a process of its own.

Run as a module it is that process: it reads prompts as JSON strings, a line each, and answers
each with the number of its tokens.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.memory import peak_rss
from bench.work import Request

# One line holds a whole prompt.
_LINE_BYTES = 2**26


class TransformersPeer:
    """What somebody without a server does: the reference algorithm in PyTorch."""

    name = "transformers"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the process; it says what it runs on when the model is loaded."""
        self._process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "bench.transformers_peer", str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=_LINE_BYTES,
        )
        try:
            self._server = str(await self._read())
            yield
        finally:
            self._process.kill()
            await self._process.wait()

    async def answer(self, request: Request) -> int:
        """Send the prompt and wait."""
        async with self._turn:
            assert self._process.stdin
            self._process.stdin.write(json.dumps(request.prompt).encode() + b"\n")
            await self._process.stdin.drain()
            return int(await self._read())

    async def _read(self) -> Any:
        assert self._process.stdout
        return json.loads(await self._process.stdout.readline())

    def server(self) -> str:
        """Versions, device and type of the weights."""
        return self._server

    def peak_rss(self) -> dict[str, int]:
        """Of the process."""
        return {"python": peak_rss(self._process.pid)}

    async def model_seconds(self) -> float | None:
        """It keeps no clock."""
        return None


def _serve(folder: Path) -> None:
    import torch
    import transformers
    from tokenizers import Tokenizer
    from torch.nn.functional import cosine_similarity, relu

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # A CPU without bfloat16 instructions is many times slower in it than in float32.
    fast = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    dtype = torch.bfloat16 if fast else torch.float32
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    shape = json.loads((folder / "config.json").read_text())
    config = transformers.Qwen3Config(vocab_size=tokenizer.get_vocab_size(), **shape)
    model = transformers.Qwen3Model(config).to(device, dtype).eval()
    size = config.hidden_size
    first, second = torch.randn(size // 2, size), torch.randn(size // 2, size // 2)
    first, second = first.to(device, dtype), second.to(device, dtype)
    special = [tokenizer.token_to_id(f"<|{name}_token|>") for name in ("embed", "rerank")]
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    print(json.dumps(f"{versions}, {str(dtype).removeprefix('torch.')}, {where}"), flush=True)
    for line in sys.stdin:
        ids = tokenizer.encode(json.loads(line)).ids
        positions = [i for i, token in enumerate(ids) if token in special]
        with torch.inference_mode():
            states = model(torch.tensor([ids], device=device), use_cache=False)[0][0, positions]
            vectors = relu(states @ first.T) @ second.T
            cosine_similarity(vectors[:-1], vectors[-1:]).sort(descending=True).values.tolist()
        print(len(ids), flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
