"""Who competes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import httpx
import orjson

from bench.memory import peak_rss
from bench.recipe import Recipe
from bench.transformers_peer import TransformersPeer
from bench.work import Request
from models.jina.prompt import SpecialTokens, prompt_segments
from models.llama.client import LlamaServer
from toolkit.running import Service

_TIMEOUT_SECONDS = 3600.0


class Contestant(Protocol):
    """Answers requests while it runs."""

    name: str

    def running(self) -> AbstractAsyncContextManager[None]:
        """Start, and leave nothing running."""

    async def answer(self, request: Request) -> int:
        """Rank the documents of `request`; tokens of its prompt."""

    def server(self) -> str:
        """What computes the model, with its version."""

    def peak_rss(self) -> dict[str, int]:
        """Most memory that each of its processes had so far, in bytes."""

    async def model_seconds(self) -> float | None:
        """Seconds spent in the model so far by its own clock, None if it has none."""


class Readout:
    """This service with one of its readouts."""

    def __init__(self, name: str, folder: Path, readout: str, context_size: int) -> None:
        self.name = name
        self._folder = folder
        self._variables = {
            "RERANKER_READOUT": readout,
            "RERANKER_TIMEOUT_SECONDS": str(_TIMEOUT_SECONDS),
            "LLAMA_ARG_CTX_SIZE": str(context_size),
            "LLAMA_ARG_ENDPOINT_METRICS": "1",
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start start.sh."""
        with Service(self._folder, **self._variables) as self._service:
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as self._client:
                yield

    async def answer(self, request: Request) -> int:
        """Ask as an application does."""
        response = await self._client.post(
            f"{self._service.url}/v1/rerank",
            json={"query": request.query, "documents": request.documents},
        )
        response.raise_for_status()
        return int(response.json()["usage"]["prompt_tokens"])

    def server(self) -> str:
        """The llama-server it runs on."""
        with self._service.llama_server_client() as client:
            props = client.get("/props").json()
        binary = os.environ.get("LLAMA_SERVER_BIN")
        kind = Path(binary).name if binary else "embedded llama-server (xllamacpp)"
        return f"{kind}, build {props['build_info']}"

    def peak_rss(self) -> dict[str, int]:
        """Of llama-server and of the front."""
        return {
            "llama-server": peak_rss(self._service.llama_server.pid),
            "uvicorn": peak_rss(self._service.front.pid),
        }

    async def model_seconds(self) -> float | None:
        """The clock of llama-server's metrics."""
        with self._service.llama_server_client() as client:
            metrics = client.get("/metrics").text
        names = "prompt_seconds_total|tokens_predicted_seconds_total"
        values = re.findall(rf"^llamacpp:(?:{names}) (\S+)", metrics, re.MULTILINE)
        return sum(map(float, values)) or None


class Floor(Readout):
    """The same llama-server completing the same prompt by one token: what any service needs."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start start.sh and look the special tokens up."""
        async with super().running():
            url, key = self._service.llama_server_url, self._service.llama_server_key
            async with LlamaServer(url, _TIMEOUT_SECONDS, key) as self._llama_server:
                self._tokens = await SpecialTokens.of(self._llama_server)
                yield

    async def answer(self, request: Request) -> int:
        """Tokenize and complete."""
        segments = prompt_segments(self._tokens, request.query, request.documents)
        ids = await self._llama_server.tokenize(segments)
        body = {"prompt": ids, "n_predict": 1, "cache_prompt": False}
        response = await self._client.post(
            f"{self._service.llama_server_url}/completion",
            content=orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY),
            headers=self._service.llama_server_headers,
        )
        response.raise_for_status()
        return len(ids)


def contestants(folder: Path, context_size: int) -> list[Contestant]:
    """All that can run here, over the weights in `folder`."""
    found: list[Contestant] = [
        Readout("prefix", folder, "prefix", context_size),
        Floor("completion (floor)", folder, "prefix", context_size),
        Readout("embedding", folder, "embedding", context_size),
    ]
    if (embedding := _binary("llama-embedding")) and (tokenize := _binary("llama-tokenize")):
        found.append(Recipe(folder, embedding, tokenize))
    if find_spec("torch") and find_spec("transformers"):
        found.append(TransformersPeer(folder))
    return found


def _binary(name: str) -> str | None:
    server = os.environ.get("LLAMA_SERVER_BIN")
    beside = str(Path(server).parent) if server else None
    return shutil.which(name, path=beside) or shutil.which(name)
