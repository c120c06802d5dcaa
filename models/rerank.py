"""What the application knows of a model that ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.llama.client import TRACE
from models.llama.client import LlamaServerError as ModelError
from models.llama.client import LlamaServerTimeout as TookTooLong
from models.llama.client import LlamaServerUnavailable as Unavailable
from models.llama.readout.base import OnTurn, no_matter
from models.llama.slots import COURTESY, TENANT
from models.work import OnWork, Work, any_work

__all__ = [
    "COURTESY",
    "TENANT",
    "TRACE",
    "Card",
    "ConfigurationError",
    "DoesNotFit",
    "Limits",
    "ModelError",
    "OnTurn",
    "OnWork",
    "Ranking",
    "RankingModel",
    "Task",
    "Timings",
    "TooLong",
    "TooManyPassages",
    "TookTooLong",
    "Unavailable",
    "Vectors",
    "Work",
    "any_work",
    "no_matter",
]

Vectors = NDArray[np.float32]


class ConfigurationError(ValueError):
    """The parts of a model or the settings do not fit each other."""


class TooLong(ValueError):
    """A text that may not be cut is longer than what the model reads of it."""


class TooManyPassages(ValueError):
    """The documents of a task make more passages than are ranked at a time."""


class DoesNotFit(ValueError):
    """A query with one document is longer than what the model can take at once."""


@dataclass(frozen=True)
class Limits:
    """Tokens that a query and a document are truncated to."""

    query_tokens: int = 512
    document_tokens: int = 2048


@dataclass(frozen=True)
class Card:
    """A model by name: where its files are published, and what its scores are.

    `kind` is how it ranks: "listwise" models compare all documents of a request. A `score` lies
    within `score_range`. What a task's `instruction` says is read if `instructed`.

    `repository` holds its GGUFs, and its `projector` if it has one; `companions` are repositories
    that hold what is missing there, its configuration in the first.
    """

    name: str
    kind: str
    score: str
    score_range: tuple[float, float]
    licence: str
    repository: str
    projector: bool = False
    companions: Sequence[str] = ()
    instructed: bool = True


@dataclass(frozen=True)
class Task:
    """A query and documents to rank; these are cut to `max_document_tokens` if that is given.

    Where `split` is true, a document that would be cut is ranked by its best passage instead, of
    its first `max_passages` if that is given; None leaves it to the settings. Else its end is left
    away, or its beginning to `keep_end`. If not `may_cut`, a text that is too long is an error.
    """

    query: str
    documents: Sequence[str]
    instruction: str | None = None
    max_document_tokens: int | None = None
    split: bool | None = None
    max_passages: int | None = None
    may_cut: bool = True
    keep_end: bool = False

    def check_cut(self, query: bool, documents: Sequence[int]) -> None:
        """Raise `TooLong` if texts that are cut may not be: the query, and documents by index."""
        if self.may_cut or not (query or documents):
            return
        what = "the query" if query else f"document {documents[0]}"
        raise TooLong(f"{what} is longer than the model reads")


@dataclass(frozen=True)
class Timings:
    """Seconds of a request: waiting its turn, tokenizing, in the model, in the projector."""

    queue: float = 0.0
    tokenize: float = 0.0
    model: float = 0.0
    projector: float = 0.0

    def items(self) -> list[tuple[str, float]]:
        """Stage and seconds."""
        return list(vars(self).items())


@dataclass(frozen=True)
class Ranking:
    """Relevance scores, float32 [documents] in the card's range, and what they came from.

    `vectors` are those of the documents, float32 [documents, output], of a model that has any;
    `logits`, float32 [documents], are what the scores of a pointwise model are the sigmoids of. Of
    the `prompt_tokens`, `reused_tokens` did not have to be computed again.

    The documents at the indices `truncated` were cut, as the query was if `query_truncated`.
    `passages` are the characters of each document that its score is of, where any was split.
    For lack of time the task's last documents, those at the indices `unranked`, have no scores.
    """

    scores: NDArray[np.float32]
    prompt_tokens: int = 0
    reused_tokens: int = 0
    timings: Timings = field(default_factory=Timings)
    vectors: Vectors | None = None
    logits: NDArray[np.float32] | None = None
    truncated: Sequence[int] = ()
    query_truncated: bool = False
    passages: Sequence[range] | None = None
    unranked: Sequence[int] = ()


class RankingModel(Protocol):
    """A model that is loaded and ranks."""

    card: Card

    @property
    def waiting(self) -> int:
        """Prompts that wait for a slot."""

    @property
    def slots(self) -> int:
        """Prompts that are worked on at a time."""

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest prompt."""

    def document_tokens(self, task: Task) -> int:
        """Tokens that a document of `task` is cut to."""

    async def count(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text."""

    async def check(self) -> None:
        """Raise `ModelError` unless a task would be done now."""

    async def rank(
        self, task: Task, on_turn: OnTurn = no_matter, on_work: OnWork = any_work
    ) -> Ranking:
        """Score each document, as the reference implementation of the model does.

        `on_work` is called when the work is known, before the wait for a slot, and `on_turn` when
        that is over, for each turn. Raises `DoesNotFit` if query and
        instruction leave no room for a document, `TooLong` if a text may not be cut and would be,
        and `ModelError` if the model fails.
        """
