"""An app in the process of the test, with a model that is made for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI

from app.admission import Admission
from app.calibration import Calibration, NotCalibrated
from app.main import create_app
from app.service import Service
from app.settings import Settings
from models.rerank import (
    Card,
    OnTurn,
    OnWork,
    Ranking,
    RankingModel,
    Task,
    any_work,
    no_matter,
)


class Pointwise:
    """Scores are sigmoids of logits, which grow with a document's length; there are no vectors."""

    card = Card("pointwise", "pointwise", "probability", (0.0, 1.0), "none", "somebody/pointwise")
    waiting = 0
    slots = 1
    max_tokens = 4096

    def document_tokens(self, task: Task) -> int:
        """A token is a character here."""
        return task.max_document_tokens or 1000

    async def count(self, texts: Sequence[str]) -> list[int]:
        """See `RankingModel.count`."""
        return [len(text) for text in texts]

    async def check(self) -> None:
        """It is always well."""

    async def rank(
        self, task: Task, on_turn: OnTurn = no_matter, on_work: OnWork = any_work
    ) -> Ranking:
        """See `RankingModel.rank`."""
        logits = np.array([len(text) - 3 for text in task.documents], np.float32)
        scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return Ranking(scores, logits=logits)


@asynccontextmanager
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that runs in this process."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as asking:
        yield asking


def app_of(
    model: RankingModel, calibration: Calibration | NotCalibrated | None = None, **settings: Any
) -> FastAPI:
    """The app in front of `model`, with `settings` beside those of the environment."""
    app = create_app()
    calibration = calibration or NotCalibrated("none was made")
    service = Service(Settings(**settings), model, Admission(8, 2**20), calibration)
    app.state.settings, app.state.service = service.settings, service
    return app
