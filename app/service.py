"""What every route works with: the reranker, under the limits of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import anyio
import numpy as np
from fastapi import Depends, Request

from app.disconnect import unless_disconnected
from app.errors import TooLarge
from app.settings import Settings
from models.llama_server import LlamaServer
from models.rerank import Ranking, Reranker


class Service:
    """The reranker of a running app."""

    def __init__(self, settings: Settings, server: LlamaServer, reranker: Reranker) -> None:
        self.settings = settings
        self.server = server
        self._reranker = reranker

    async def rerank(
        self, http: Request, query: str, documents: Sequence[str], instruction: str | None = None
    ) -> Ranking:
        """Score the documents for the client of `http`, as long as it is there.

        Raises `TooLarge`, `TimeoutError` or what the reranker raises.
        """
        limit = self.settings.max_documents
        if len(documents) > limit:
            raise TooLarge(
                f"{len(documents):,} documents in one request; at most {limit:,} "
                "(RERANKER_MAX_DOCUMENTS), so send them in several requests"
            )
        with anyio.fail_after(self.settings.timeout_seconds):
            work = self._reranker.rerank(query, documents, instruction)
            return await unless_disconnected(http, work)


def best_first(ranking: Ranking) -> list[tuple[int, float]]:
    """(index, score) of each document, best score first, ties in input order."""
    order = np.argsort(-ranking.scores, kind="stable")
    return list(zip(order.tolist(), ranking.scores[order].tolist(), strict=True))


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(_service)]
