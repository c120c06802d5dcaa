"""Who competes: each answers requests from inside a running context."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson

from bench.work import Request
from models.llama_server import LlamaServer
from models.prompt import SpecialTokens, prompt_segments
from tests.running import Service

_TIMEOUT_SECONDS = 3600.0


@dataclass
class Contestant:
    """A service with one readout; `answer` ranks a request and returns the tokens read for it."""

    name: str
    folder: Path
    readout: str
    context_size: int
    variables: dict[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Contestant]:
        """Start, and leave nothing running."""
        service = Service(
            self.folder,
            RERANKER_READOUT=self.readout,
            RERANKER_TIMEOUT_SECONDS=str(_TIMEOUT_SECONDS),
            LLAMA_ARG_CTX_SIZE=str(self.context_size),
            LLAMA_ARG_ENDPOINT_METRICS="1",
            **self.variables,
        )
        with service:
            self.service = service
            async with (
                LlamaServer(service.llama_server_url, _TIMEOUT_SECONDS) as self.server,
                httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as self._client,
            ):
                self._tokens = await SpecialTokens.of(self.server)
                yield self

    async def answer(self, request: Request) -> int:
        """Tokens the model read to rank `request`."""
        response = await self._client.post(
            f"{self.service.url}/v1/rerank",
            json={"query": request.query, "documents": request.documents},
        )
        response.raise_for_status()
        return int(response.json()["usage"]["prompt_tokens"])


class Floor(Contestant):
    """The same llama-server completing the same prompt by one token: what any service needs."""

    async def answer(self, request: Request) -> int:
        """Tokens of the prompt."""
        segments = prompt_segments(self._tokens, request.query, request.documents)
        ids = await self.server.tokenize(segments)
        body = {"prompt": ids, "n_predict": 1, "cache_prompt": False}
        response = await self._client.post(
            f"{self.service.llama_server_url}/completion",
            content=orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY),
        )
        response.raise_for_status()
        return len(ids)
