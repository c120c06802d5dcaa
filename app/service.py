"""What every dialect works with: the reranker, under the limits of the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import Depends, Request
from numpy.typing import NDArray

from app.admission import Admission
from app.disconnect import unless_disconnected
from app.drain import Turn
from app.settings import Settings
from models.llama_server import LlamaServer, LlamaServerUnavailable
from models.rerank import Ranking, Reranker

# For who only asks for the health.
_CHECK_SECONDS = 4.0


@dataclass(frozen=True)
class RankingRequest:
    """A query and documents to rank, whatever dialect asked."""

    query: str
    documents: Sequence[str]
    instruction: str | None = None
    max_document_tokens: int | None = None


class Service:
    """The reranker of a running app, and the places for its requests."""

    def __init__(
        self, settings: Settings, server: LlamaServer, reranker: Reranker, admission: Admission
    ) -> None:
        self.settings = settings
        self.server = server
        self.reranker = reranker
        self.admission = admission

    async def check(self) -> None:
        """Raise `LlamaServerError` unless a request would be answered now."""
        await self.server.check_health()
        try:
            await asyncio.wait_for(self.reranker.check(), _CHECK_SECONDS)
        except (TimeoutError, asyncio.TimeoutError) as error:
            raise LlamaServerUnavailable("llama-server does not answer") from error

    async def rerank(self, http: Request, request: RankingRequest) -> Ranking:
        """Score the documents for the client of `http`, as long as it is there.

        Raises what the reranker raises.
        """
        turn: Turn = http.state.turn
        work = self.reranker.rerank(
            request.query,
            request.documents,
            request.instruction,
            request.max_document_tokens,
            turn.come,
        )
        ranking = await unless_disconnected(http, work)
        # For the log and the metrics.
        http.state.ranking = ranking
        return ranking


def best_first(scores: NDArray[np.float32]) -> list[tuple[int, float]]:
    """(index, score) of each document, best score first, ties in input order."""
    order = np.argsort(-scores, kind="stable")
    return list(zip(order.tolist(), scores[order].tolist(), strict=True))


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(_service)]
