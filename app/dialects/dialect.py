"""What a rerank API is to the service: the contract that each module of this package keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from fastapi import Request
from pydantic import BaseModel

from app.errors import Problem
from models.rerank import Card, Ranking, Task


class Body(BaseModel):
    """What clients send."""

    def task(self) -> Task:
        """What the model is asked for."""
        raise NotImplementedError

    def most(self) -> int | None:
        """How many results are wanted; None or 0: all."""
        return None


AnyBody = TypeVar("AnyBody", bound=Body)


@dataclass(frozen=True)
class Ranked(Generic[AnyBody]):
    """A request and its ranking by the model of `card`: all that an answer is made of."""

    body: AnyBody
    ranking: Ranking
    card: Card
    request_id: str

    def best_first(self) -> list[tuple[int, float]]:
        """(index, score) of the documents wanted, best score first, ties in input order."""
        scores = self.ranking.scores
        order = np.argsort(-scores, kind="stable")[: self.body.most() or None]
        return list(zip(order.tolist(), scores[order].tolist(), strict=True))


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
