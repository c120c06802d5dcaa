"""What a rerank API is to the service: the contract that each module of this package keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from fastapi import HTTPException, Request
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from app.calibration import Calibration, NotCalibrated
from app.dialects.fields import Milliseconds, Score
from app.errors import Problem
from app.scores import Scale, order, scaled
from models.rerank import Card, Ranking, Task


class Refused(HTTPException):
    """A request is understood, but one of its fields cannot be honoured: 422, which names it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(422, f"{field}: {reason}")


class Body(BaseModel):
    """What clients send; `promised` is the scale of scores that the dialect promises."""

    promised: ClassVar[Scale | None] = None

    scores: Scale | None = Field(
        None,
        description="what scores are: the model's cosine, unit from 0 to 1, raw from the model, or "
        "calibrated probabilities",
    )
    min_score: Score | None = Field(None, description="leave out results with lower scores")
    timeout_ms: Milliseconds | None = Field(
        None, description="refuse at once what would not be done in these milliseconds"
    )
    partial: bool | None = Field(
        False, description="if time is short, rank as many of the first documents as are in time"
    )

    def task(self) -> Task:
        """What the model is asked for."""
        raise NotImplementedError

    def most(self) -> int | None:
        """How many results are wanted; None or 0: all."""
        return None

    def scale(self) -> Scale | None:
        """What scores are asked for."""
        return self.scores


AnyBody = TypeVar("AnyBody", bound=Body)


@dataclass(frozen=True)
class Ranked(Generic[AnyBody]):
    """A request and its ranking by the model of `card`: all that an answer is made of.

    Its scores are on the `scale`, or the model's own; calibrated ones by `calibration`.
    """

    body: AnyBody
    ranking: Ranking
    card: Card
    request_id: str
    scale: Scale | None = None
    calibration: Calibration | NotCalibrated | None = None

    @property
    def tokens(self) -> int:
        """Tokens that the model read."""
        return self.ranking.prompt_tokens

    def in_order(self) -> list[float]:
        """The score of each document, as they were sent."""
        scores: list[float] = self._scores().tolist()
        return scores

    def best_first(self) -> list[tuple[int, float]]:
        """(index, score) of the documents wanted, best score first, ties in input order."""
        scores = self._scores()
        best = order(self.ranking)
        if self.body.min_score is not None:
            best = best[scores[best] >= self.body.min_score]
        best = best[: self.body.most() or None]
        return list(zip(best.tolist(), scores[best].tolist(), strict=True))

    def _scores(self) -> NDArray[Any]:
        return scaled(self.scale, self.ranking, self.card, self.calibration)


class Dialect(Protocol):
    """A rerank API that clients speak; its module has all of these names.

    Of the dialects that share a path, the first one that `speaks` serves a request, or else the
    last one. `DOCUMENTS` names the fields that may hold the documents. `Answer` and `Error` are
    the types of what `answer` and `error` give, JSON in Python's types or numpy's; they describe.
    """

    NAME: str
    PATHS: Sequence[str]
    DOCUMENTS: Sequence[str]
    Body: type[Body]
    Answer: Any
    Error: Any

    def speaks(self, request: Request, body: Mapping[str, Any]) -> bool:
        """Whether a request, whose JSON `body` is not checked yet, is of this dialect."""

    def error(self, problem: Problem) -> Mapping[str, Any]:
        """How clients are told what is wrong."""

    def answer(self, ranked: Ranked[Any]) -> Any:
        """What clients get; runs beside the event loop."""


def told_to(dialects: Sequence[Dialect], problem: Problem) -> dict[str, Any]:
    """What clients of any of `dialects` understand; the first ones have their way."""
    return {name: value for d in reversed(dialects) for name, value in d.error(problem).items()}
