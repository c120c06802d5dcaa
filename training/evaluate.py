"""How well candidates are ranked, by the model, by BM25 and by chance."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bm25s
import numpy as np
from numpy.typing import NDArray

from training.pairs import Example

# Scores the candidates of an example, best highest.
Ranker = Callable[[Example], Sequence[float]]


@dataclass(frozen=True)
class Quality:
    """Means over examples, 0…1: nDCG@10, reciprocal rank, and how often the best is the first."""

    ndcg: float
    mrr: float
    top: float

    @classmethod
    def of(cls, ranker: Ranker, examples: Sequence[Example]) -> Quality:
        """Rank every example; with one relevant document the ideal DCG is 1."""
        ranks = np.array([_rank(ranker(example), example.relevant) for example in examples])
        gains = np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0)
        return cls(float(gains.mean()), float((1 / ranks).mean()), float((ranks == 1).mean()))


def _rank(scores: Sequence[float], relevant: int) -> int:
    """From 1; ties count half, so that equal scores for all are as good as chance."""
    values: NDArray[np.float64] = np.asarray(scores, float)
    better = (values > values[relevant]).sum()
    equal = (values == values[relevant]).sum() - 1
    return int(1 + better + (equal + 1) // 2)


def bm25(example: Example) -> list[float]:
    """BM25 over the candidates; words are lower-cased runs of letters and digits."""
    corpus = [_words(document) for document in example.documents]
    index = bm25s.BM25()
    index.index(corpus, show_progress=False)
    scores: list[float] = index.get_scores(_words(example.query)).tolist()
    return scores


def chance(example: Example) -> list[float]:
    """Any order, the same at every call."""
    source = random.Random(example.query)
    return [source.random() for _ in example.documents]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
