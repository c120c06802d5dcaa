"""Long documents by their passages, of which the best one counts, around any model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.passages import ending, passages
from models.rerank import (
    OnTurn,
    OnWork,
    Ranking,
    RankingModel,
    Task,
    TooManyPassages,
    Work,
    any_work,
    no_matter,
)


@dataclass(frozen=True)
class _Passage:
    """Characters of the document at the index `document`."""

    document: int
    characters: range


class LongDocuments:
    """A `RankingModel` that splits documents which another one would cut, if that is wished for.

    `split` says whether that is so where a task does not. A task has `max_passages` at most.
    """

    def __init__(self, model: RankingModel, split: bool, max_passages: int) -> None:
        self.card = model.card
        self.document_tokens = model.document_tokens
        self.count = model.count
        self.check = model.check
        self._model = model
        self._split = split
        self._max_passages = max_passages

    @property
    def waiting(self) -> int:
        """See `RankingModel.waiting`."""
        return self._model.waiting

    @property
    def slots(self) -> int:
        """See `RankingModel.slots`."""
        return self._model.slots

    @property
    def max_tokens(self) -> int:
        """See `RankingModel.max_tokens`."""
        return self._model.max_tokens

    async def rank(
        self, task: Task, on_turn: OnTurn = no_matter, on_work: OnWork = any_work
    ) -> Ranking:
        """See `RankingModel.rank`; a document's score is its best passage's.

        Raises `TooManyPassages` as well.
        """
        split = self._split if task.split is None else task.split
        if not split:
            return await self._rank_cut(task, on_turn, on_work)
        if not task.documents:
            return await self._model.rank(task, on_turn, on_work)
        found, truncated = await self._passages(task)
        task.check_cut(False, truncated)
        texts = [_text(task.documents[p.document], p.characters) for p in found]
        owners = [passage.document for passage in found]

        def on_passages(work: Work) -> None:
            on_work(work.of(owners))

        ranking = await self._model.rank(replace(task, documents=texts), on_turn, on_passages)
        return _best(ranking, found, truncated)

    async def _rank_cut(self, task: Task, on_turn: OnTurn, on_work: OnWork) -> Ranking:
        """Have long documents cut, at the beginning to keep the end, else by the model."""
        if not task.keep_end:
            return await self._model.rank(task, on_turn, on_work)
        tokens = self.document_tokens(task)
        ends = [await ending(document, tokens, self.count) for document in task.documents]
        truncated = [i for i, end in enumerate(ends) if end.start]
        task.check_cut(False, truncated)
        texts = [_text(document, end) for document, end in zip(task.documents, ends, strict=True)]
        ranking = await self._model.rank(replace(task, documents=texts), on_turn, on_work)
        return replace(ranking, truncated=sorted({*ranking.truncated, *truncated}))

    async def _passages(self, task: Task) -> tuple[list[_Passage], list[int]]:
        """The passages of all documents, and the indices of those that have more than allowed."""
        tokens = self.document_tokens(task)
        found: list[_Passage] = []
        truncated = []
        for i, document in enumerate(task.documents):
            most = task.max_passages or self._max_passages
            ranges = await self._split_up(document, tokens, most)
            if len(ranges) > most and task.max_passages:
                truncated.append(i)
                ranges = ranges[:most]
            found += [_Passage(i, characters) for characters in ranges]
            if len(found) > self._max_passages:
                raise TooManyPassages(
                    f"the documents up to {i} make more than {self._max_passages:,} passages of "
                    f"{tokens:,} tokens"
                )
        return found, truncated

    async def _split_up(self, document: str, tokens: int, most: int) -> list[range]:
        whole = [range(len(document))]
        # No text has more tokens than bytes.
        if len(document) <= tokens and len(document.encode()) <= tokens:
            return whole
        return await passages(document, tokens, self.count, most) or whole


def _text(document: str, characters: range) -> str:
    return document[characters.start : characters.stop]


def _best(ranking: Ranking, found: Sequence[_Passage], truncated: Sequence[int]) -> Ranking:
    """The ranking of documents by their best passages, out of the passages' ranking."""
    documents = np.array([passage.document for passage in found])
    # By document, then best first, then in order: the first of each document counts.
    # Probabilities near 1 are the same where their logits are not.
    measure = ranking.scores if ranking.logits is None else ranking.logits
    order = np.lexsort((-measure, documents))
    _, first = np.unique(documents[order], return_index=True)
    best: NDArray[np.int64] = order[first]
    cut = {found[i].document for i in ranking.truncated} | set(truncated)
    return replace(
        ranking,
        scores=ranking.scores[best],
        vectors=None if ranking.vectors is None else ranking.vectors[best],
        logits=None if ranking.logits is None else ranking.logits[best],
        truncated=sorted(cut),
        passages=[found[i].characters for i in best],
    )
