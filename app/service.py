"""What every dialect works with: the model, behind the places for its requests."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.admission import Admission
from app.calibration import Calibration, NotCalibrated
from app.disconnect import unless_disconnected
from app.drain import Turn
from app.settings import Settings
from models.rerank import Ranking, RankingModel, Task


class Service:
    """The model of a running app, the places for its requests, and how its scores calibrate."""

    def __init__(
        self,
        settings: Settings,
        model: RankingModel,
        admission: Admission,
        calibration: Calibration | NotCalibrated,
    ) -> None:
        self.settings = settings
        self.model = model
        self.admission = admission
        self.calibration = calibration

    async def rank(self, request: Request, task: Task) -> Ranking:
        """Rank for the client of `request`, as long as it is there; raises what the model does."""
        turn: Turn = request.state.turn
        ranking = await unless_disconnected(request, self.model.rank(task, turn.come))
        # For the log and the metrics.
        request.state.ranking = ranking
        return ranking


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(_service)]
