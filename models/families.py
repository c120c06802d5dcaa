"""The families of models that are known: each a room with cards, and a way to open a model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from models import cross_encoder, jina, yes_no
from models.llama import shape
from models.rerank import Card, ConfigurationError, RankingModel
from models.wishes import Wishes


class Family(Protocol):
    """What the package of a family offers."""

    CARDS: Sequence[Card]

    def contradicts(self, card: Card, gguf: Path) -> str | None:
        """Why the file is no model of `card`; None if it may be one.

        Raises `GGUFError` or `OSError` if it cannot be read.
        """

    def prepared(
        self, card: Card, source: Path, readout: str, llama_server: Sequence[str] | None
    ) -> Path:
        """The GGUF that llama-server is to serve: `source`, or a copy that is made beside it.

        `readout` is that of the settings, `llama_server` the command that will serve it, if that
        is known. Raises `GGUFError`, `PrepareError` or `OSError`.
        """

    def shape(
        self, card: Card, wishes: shape.Wishes, trained: int | None, on_gpu: bool
    ) -> shape.Shape:
        """What llama-server is started as; `trained` is the context of its GGUF, in tokens."""

    def open(self, card: Card, wishes: Wishes) -> AbstractAsyncContextManager[RankingModel]:
        """The model of `card` behind a llama-server that runs."""


FAMILIES: tuple[Family, ...] = (jina, yes_no, cross_encoder)
CARDS = {card.name: card for family in FAMILIES for card in family.CARDS}


def family_of(name: str) -> tuple[Family, Card]:
    """The family of a model, and its card.

    A name that no family knows is somebody's own model of the first family, whose licence and
    repository are not ours to tell.
    """
    for family in FAMILIES:
        for card in family.CARDS:
            if card.name == name:
                return family, card
    return FAMILIES[0], replace(FAMILIES[0].CARDS[0], name=name, licence="", repository="")


def check_name(name: str) -> None:
    """Raise `ConfigurationError` if `name` is a known model's, but for upper and lower case."""
    for known in CARDS:
        if known != name and known.casefold() == name.casefold():
            raise ConfigurationError(f"RERANKER_MODEL={name}: it is written {known}")


def check_file(name: str, gguf: Path) -> None:
    """Raise `ConfigurationError` if the file is none that the model `name` could be.

    Raises `GGUFError` or `OSError` if it cannot be read.
    """
    family, card = family_of(name)
    reason = family.contradicts(card, gguf)
    if reason:
        raise ConfigurationError(
            f"{gguf} is no {card.name}: {reason}. It is not served as what it is not: name its "
            "model in RERANKER_MODEL, or another file in RERANKER_GGUF"
        )
