"""What every dialect works with: the model, behind the places for its requests."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from fastapi import Depends, Request

from app.admission import Admission
from app.calibration import Calibration, NotCalibrated
from app.disconnect import unless_disconnected
from app.drain import Turn
from app.forecast import Expected, Forecast, Job
from app.patience import Patience
from app.settings import Settings
from models.rerank import COURTESY, Ranking, RankingModel, Task, Work


class _OnlyFirst(Exception):
    """There is time for the first `documents` only."""

    def __init__(self, documents: int) -> None:
        super().__init__()
        self.documents = documents


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
        self._forecast = Forecast(model.slots)

    async def rank(self, request: Request, task: Task, patience: Patience) -> Ranking:
        """Rank for the client of `request`, as long as it is there and has `patience`.

        Raises what the model does, `TooLate` and `ClientLeft`.
        """
        COURTESY.set(patience.courtesy)
        with self._forecast.job(patience.courtesy) as job:
            asked = _Asked(request, patience, job)
            ranking = await unless_disconnected(request, self._rank(task, asked))
            job.done(ranking)
        # For the log and the metrics.
        request.state.ranking = ranking
        return ranking

    async def _rank(self, task: Task, asked: _Asked) -> Ranking:
        tokens = self.model.document_tokens(task)
        documents: Sequence[str] = task.documents[: asked.glance(task, tokens)]
        while True:
            try:
                part = replace(task, documents=documents)
                ranking = await self.model.rank(part, asked.begin, asked.take)
            except _OnlyFirst as first:
                documents = documents[: first.documents]
            else:
                return replace(ranking, unranked=range(len(documents), len(task.documents)))


class _Asked:
    """A request on its way through the model."""

    def __init__(self, request: Request, patience: Patience, job: Job) -> None:
        self._request = request
        self._patience = patience
        self._job = job

    def glance(self, task: Task, document_tokens: int) -> int:
        """How many documents may be done in time, as far as it is known before they are counted.

        Raises `TooLate` if none, or not all where part of a ranking will not do.
        """
        # What is cut later counts for no more than it will be at least.
        lengths = [min(len(text), document_tokens) for text in task.documents]
        expected = self._job.glance(len(task.query) + np.cumsum(lengths))
        left = self._patience.left
        if not expected or expected[-1].least <= left:
            return len(lengths)
        fitting = bisect_right([each.least for each in expected], left)
        if not (fitting and self._patience.partial):
            self._patience.check(expected[-1])
        return fitting

    def take(self, work: Work) -> None:
        """Wait for the turn to do `work`; raises `TooLate` or `_OnlyFirst`."""
        expected = self._job.expected(work)
        if expected:
            self._check(work, expected)
            self._request.state.expected = self._patience.spent + expected.total
        self._job.wait_for_turn(work)

    def _check(self, work: Work, expected: Expected) -> None:
        if self._patience.partial and expected.total > self._patience.left:
            first = self._job.fitting(work, self._patience.to_fill)
            if first:
                raise _OnlyFirst(first)
        self._patience.check(expected)

    def begin(self) -> None:
        """A turn begins."""
        self._job.begin()
        turn: Turn = self._request.state.turn
        turn.come()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(_service)]
