"""What llama-server has to compute for a task, known before it begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Work:
    """Readings of documents, in turns at a slot, of which `at_once` are asked for at a time.

    A row of `loads`, [readings, 3], is what one takes: tokens, pairs of tokens that attention
    compares, and calls. `documents` and `turns`, [readings], are the indices of what it is part
    of. `rests`, [turns, 3], is what comes after a turn's last document. `reused` tokens are not
    counted: a cache has them.
    """

    documents: Indices
    turns: Indices
    loads: Floats
    rests: Floats
    at_once: int = 1
    reused: int = 0

    def by_turn(self) -> Floats:
        """1, tokens, pairs and calls of each turn, [turns, 4]."""
        sums = np.column_stack([np.ones(len(self.rests)), self.rests])
        np.add.at(sums[:, 1:], self.turns, self.loads)
        return sums

    def leading(self, count: int) -> Work:
        """That of the first `count` documents only."""
        kept = self.documents < count
        turns, renumbered = np.unique(self.turns[kept], return_inverse=True)
        return replace(
            self,
            documents=self.documents[kept],
            turns=renumbered,
            loads=self.loads[kept],
            rests=self.rests[turns],
        )

    def of(self, documents: Sequence[int]) -> Work:
        """The same, if what was taken for document i is a passage of document `documents[i]`."""
        return replace(self, documents=np.array(documents, np.intp)[self.documents])


# What is called when the work of a task is known; what it raises ends the task.
OnWork = Callable[[Work], None]


def any_work(_: Work) -> None:
    """The `OnWork` of those who take whatever it is."""


def common_prompts(ends: Sequence[Sequence[int]], known: Sequence[int]) -> Work:
    """The work of prompts, each with documents in a row, the first `known` tokens in a cache.

    Each is read up to `ends` tokens: after each of its documents, and after all.
    """
    counts = [len(of_prompt) - 1 for of_prompt in ends]
    loads = [_prefixes(np.array(e), k) for e, k in zip(ends, known, strict=True)]
    return Work(
        np.arange(sum(counts)),
        np.repeat(np.arange(len(counts)), counts),
        np.concatenate([each[:-1] for each in loads]),
        np.stack([each[-1] for each in loads]),
        reused=sum(known),
    )


def single_prompts(
    lengths: Sequence[int],
    known: Sequence[int],
    documents: Sequence[int],
    turns: Sequence[int],
    at_once: int,
) -> Work:
    """The work of prompts of one document each, of whose tokens the first `known` are in a cache.

    `documents` and `turns` are the indices of those that each prompt is part of.
    """
    loads = _loads(np.array(known), np.array(lengths), np.ones(len(lengths), bool))
    rests = np.zeros((turns[-1] + 1, 3))
    return Work(np.array(documents), np.array(turns), loads, rests, at_once, sum(known))


def _prefixes(ends: Indices, known: int) -> Floats:
    begins = np.concatenate([[0], ends[:-1]])
    return _loads(np.maximum(begins, known), np.maximum(ends, known), ends > known)


def _loads(begins: Indices, ends: Indices, called: NDArray[np.bool_]) -> Floats:
    begin, end = begins.astype(float), ends.astype(float)
    return np.column_stack([end - begin, end**2 - begin**2, called])
