"""What the model learns from: a text and what somebody could ask to find it."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_HELD_OUT_PERCENT = 6


@dataclass(frozen=True)
class Pair:
    """A query and the one document that answers it.

    `topic` names documents that are alike, so hard to tell apart. `origin` is what all pairs of
    one package or module share: it is held out as a whole, and counts once in a list.
    """

    query: str
    document: str
    topic: str
    origin: str


@dataclass(frozen=True)
class Example:
    """A query and its candidates; `relevant` is the index of the one that answers it."""

    query: str
    documents: list[str]
    relevant: int


def split(pairs: Iterable[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on, and pairs of other packages and modules to judge with."""
    train: list[Pair] = []
    held_out: list[Pair] = []
    for pair in pairs:
        digest = hashlib.sha256(pair.origin.encode()).digest()
        (held_out if digest[0] * 100 < _HELD_OUT_PERCENT * 256 else train).append(pair)
    return train, held_out


class Sampler:
    """Draws lists of candidates out of pairs: half of the same topic, half of any."""

    def __init__(self, pairs: Sequence[Pair], source: random.Random) -> None:
        self._pairs = pairs
        self._source = source
        self._topics: dict[str, list[Pair]] = defaultdict(list)
        for pair in pairs:
            self._topics[pair.topic].append(pair)

    def pair(self) -> Pair:
        """Any pair."""
        return self._source.choice(self._pairs)

    def example(self, size: int, pair: Pair | None = None) -> Example:
        """A list of at most `size` candidates in random order, for `pair` or any."""
        pair = pair or self.pair()
        others = {pair.origin: pair}
        for i in range(4 * size):
            if len(others) == size:
                break
            pool = self._topics[pair.topic] if i % 2 else self._pairs
            other = self._source.choice(pool)
            if other.document != pair.document:
                others.setdefault(other.origin, other)
        documents = [other.document for other in others.values()]
        self._source.shuffle(documents)
        return Example(pair.query, documents, documents.index(pair.document))
