"""The application: `uvicorn --factory app.main:create_app`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app import VERSION, info, metrics, playground, status
from app.admission import Admission
from app.calibration import calibration_of
from app.connections import shortage
from app.description import LICENCE, complete, operation_id
from app.dialects.dialect import Dialect
from app.dialects.spoken import DIALECTS
from app.drain import Drain
from app.errors import StartUpMessage, add_error_handlers
from app.keys import RequireKey, describe_keys
from app.methods import Methods
from app.metrics import Metrics
from app.observe import Observe, log_to_stdout
from app.otlp import Spans, endpoint
from app.paths import Paths
from app.route import router
from app.scores import contradicts
from app.service import Service
from app.settings import Settings, SettingsError
from models.open import open_model
from models.rerank import ConfigurationError

# Memory of bodies under way, in units of the largest one, whose texts may take four of them.
_LARGEST_BODIES = 5


def create_app(dialects: Sequence[Dialect] = DIALECTS) -> FastAPI:
    """Build the app from the environment; start-up fails if no request could be answered."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        sys.exit(str(error))
    app = _App(
        title="jina-reranker",
        description="Ranks documents by their relevance to a query.",
        version=VERSION,
        license_info=LICENCE,
        generate_unique_id_function=operation_id,
        lifespan=_lifespan,
        redirect_slashes=False,
        # The page in `playground` needs no other host.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.metrics = Metrics(settings.restarts)
    app.state.drain = Drain()
    app.state.spans = Spans() if endpoint() else None
    # The last one added sees a request first.
    if settings.api_keys:
        app.add_middleware(RequireKey, keys=settings.api_keys, dialects=dialects)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=[
                *("Authorization", "Api-Key", "X-API-Key"),
                *("Content-Type", "X-Request-ID", "Prefer", "X-Priority"),
            ],
        )
    app.add_middleware(Paths, root_path=settings.root_path)
    app.add_middleware(Methods)
    app.add_middleware(Observe, metrics=app.state.metrics, spans=app.state.spans)
    app.add_middleware(StartUpMessage)
    log_to_stdout()
    add_error_handlers(app)
    app.include_router(router(dialects))
    for module in (info, status, metrics, playground):
        app.include_router(module.router)
    return app


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The description of the API, with the key if one is set."""
        if self.openapi_schema:
            return self.openapi_schema
        schema = super().openapi()
        complete(schema)
        settings: Settings = self.state.settings
        if settings.api_keys:
            describe_keys(schema)
        return schema


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    settings: Settings = app.state.settings
    asyncio.get_running_loop().set_exception_handler(shortage)
    memory = _LARGEST_BODIES * settings.max_body_bytes
    async with open_model(settings) as model:
        calibration = await asyncio.to_thread(
            calibration_of, settings.gguf, settings.calibration_path
        )
        if reason := contradicts(settings.scores, model.card, calibration):
            raise ConfigurationError(f"RERANKER_SCORES is {settings.scores}: {reason}")
        admission = Admission(model.slots + settings.queue_limit, memory)
        app.state.service = Service(settings, model, admission, calibration)
        yield {"answer_seconds": settings.body_timeout_seconds, "answer_bytes": memory}
    if app.state.spans:
        await asyncio.to_thread(app.state.spans.close)
