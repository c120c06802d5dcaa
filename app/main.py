"""The application: `uvicorn --factory app.main:create_app`."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app import VERSION, metrics, playground, status
from app.admission import Admission
from app.dialects import cohere, jina, shared, tei
from app.drain import Drain
from app.errors import StartUpMessage, add_error_handlers
from app.keys import RequireKey, describe_keys
from app.methods import Methods
from app.metrics import Metrics
from app.observe import Observe, log_to_stdout
from app.paths import Paths
from app.service import Service
from app.settings import Settings, SettingsError
from models.embedding_readout import EmbeddingReadout
from models.fingerprint import Fingerprint
from models.llama_server import LlamaServer
from models.prefix_readout import PrefixReadout
from models.prepare import head_scale
from models.projector import Projector
from models.prompt import SpecialTokens
from models.readout import Readout
from models.rerank import Limits, Reranker
from models.whole_file import in_use

# Bodies of requests under way, in units of the largest one.
_LARGEST_BODIES = 4

# The logger whose lines uvicorn prints.
_log = logging.getLogger("uvicorn.error")


def create_app() -> FastAPI:
    """Build the app from the environment; start-up fails if no request could be answered."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        sys.exit(str(error))
    app = _App(
        title="jina-reranker",
        description="Reranking with jina-reranker-v3.",
        version=VERSION,
        lifespan=_lifespan,
        redirect_slashes=False,
        # The page in `playground` needs no other host.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.metrics = Metrics(settings.restarts)
    app.state.drain = Drain()
    # The last one added sees a request first.
    if settings.api_keys:
        app.add_middleware(RequireKey, keys=settings.api_keys)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
        )
    app.add_middleware(Paths, root_path=settings.root_path)
    app.add_middleware(Methods)
    app.add_middleware(Observe, metrics=app.state.metrics)
    app.add_middleware(StartUpMessage)
    log_to_stdout()
    add_error_handlers(app)
    for module in (shared, jina, cohere, tei, status, metrics, playground):
        app.include_router(module.router)
    return app


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The description of the API, with the key if one is set."""
        schema = super().openapi()
        settings: Settings = self.state.settings
        if settings.api_keys:
            describe_keys(schema)
        return schema


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # A newer copy that is made beside it leaves this one for llama-server to start again with.
    with in_use(app.state.settings.gguf):
        async with _service(app):
            yield


@asynccontextmanager
async def _service(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    projector = Projector.load(settings.projector_path)
    limits = Limits(settings.max_query_tokens, settings.max_document_tokens)
    url, key = settings.server_url, settings.llama_server_api_key
    async with LlamaServer(url, settings.timeout_seconds, key) as server:
        tokens = await SpecialTokens.of(server)
        readout = await _connect_readout(settings, server, tokens)
        reranker = await Reranker.connect(server, readout, projector, tokens, limits)
        places = (await server.props()).total_slots + settings.queue_limit
        admission = Admission(places, _LARGEST_BODIES * settings.max_body_bytes)
        app.state.service = Service(settings, server, reranker, admission)
        yield


async def _connect_readout(
    settings: Settings, server: LlamaServer, tokens: SpecialTokens
) -> Readout:
    """The readout of the settings, or `embedding` where the GGUF is unknown or has no head."""
    cache_types = (settings.llama_arg_cache_type_k, settings.llama_arg_cache_type_v)
    fingerprint = await Fingerprint.of(server, tokens, settings.gguf, cache_types)
    scale = head_scale(settings.gguf) if settings.gguf else None
    if settings.readout == "prefix" and scale is not None:
        _log.info("reading hidden states through prefix: %s has the head", settings.gguf)
        return await PrefixReadout.connect(server, scale, fingerprint)
    reason = "as set" if settings.readout == "embedding" else "no GGUF with the readout head"
    _log.info("reading hidden states through embedding: %s", reason)
    return await EmbeddingReadout.connect(server, fingerprint)
