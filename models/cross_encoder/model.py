"""XLM-RoBERTa cross-encoders: a query and its documents to relevance scores."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from models import readiness
from models.cross_encoder.classifier import Classifier
from models.cross_encoder.pairs import Pairs
from models.cross_encoder.tokenizer import Tokenizer
from models.llama.client import LlamaServer, TokenIds
from models.llama.readout.base import OnTurn, no_matter
from models.llama.readout.pooled import PooledReadout
from models.rerank import Card, Ranking, Task, Timings
from models.sigmoid import sigmoid
from models.together import together
from models.work import OnWork, Work, any_work, single_prompts


class CrossEncoder:
    """A `RankingModel`: a cross-encoder over one llama-server."""

    def __init__(
        self,
        card: Card,
        server: LlamaServer,
        readout: PooledReadout,
        tokenizer: Tokenizer,
        pairs: Pairs,
        classifier: Classifier,
    ) -> None:
        self.card = card
        self._server = server
        self._readout = readout
        self._tokenizer = tokenizer
        self._pairs = pairs
        self._classifier = classifier

    @property
    def waiting(self) -> int:
        """See `RankingModel.waiting`."""
        return self._readout.waiting

    @property
    def slots(self) -> int:
        """See `RankingModel.slots`."""
        return self._readout.slots

    @property
    def max_tokens(self) -> int:
        """See `RankingModel.max_tokens`."""
        return self._pairs.most_tokens

    def document_tokens(self, task: Task) -> int:
        """See `RankingModel.document_tokens`; what fits beside the longest query."""
        room = self._pairs.room(self._pairs.most_query_tokens)
        return min(task.max_document_tokens or room, room)

    async def count(self, texts: Sequence[str]) -> list[int]:
        """See `RankingModel.count`."""
        return [len(ids) for ids in await self._tokenizer.ids(texts)]

    async def check(self) -> None:
        """See `RankingModel.check`."""
        await readiness.check(self._server, self._readout)

    async def rank(
        self, task: Task, on_turn: OnTurn = no_matter, on_work: OnWork = any_work
    ) -> Ranking:
        """See `RankingModel.rank`."""
        if not task.documents:
            empty = np.empty(0, np.float32)
            return Ranking(empty, logits=empty)
        arrived = time.perf_counter()
        (query,), cut_query = await self._cut([task.query], self._pairs.most_query_tokens)
        most = None if self._pairs.reads_all else self._pairs.room(len(query))
        if task.max_document_tokens:
            most = min(most or task.max_document_tokens, task.max_document_tokens)
        documents, truncated = await self._cut(task.documents, most)
        task.check_cut(bool(cut_query), truncated)
        on_work(self._work(query, documents))
        tokenized = time.perf_counter()
        work = _Work(self._readout, self._classifier, len(documents), on_turn)
        await work.do(self._prompts(query, documents))
        spent = time.perf_counter() - tokenized
        # Documents that are read at once wait at once.
        waited = min(work.waited / min(self.slots, work.prompts), spent)
        return Ranking(
            sigmoid(work.logits),
            prompt_tokens=work.tokens,
            timings=Timings(
                queue=waited,
                tokenize=tokenized - arrived,
                model=spent - waited,
            ),
            logits=work.logits,
            truncated=truncated,
            query_truncated=bool(cut_query),
        )

    async def _cut(
        self, texts: Sequence[str], most: int | None
    ) -> tuple[list[TokenIds], list[int]]:
        """Token ids of each text, of one with more than `most` its first, and who has more."""
        if most is None:
            return await self._tokenizer.ids(texts), []
        ids = await self._tokenizer.ids(texts, most + 1)
        return [each[:most] for each in ids], [i for i, e in enumerate(ids) if len(e) > most]

    def _work(self, query: TokenIds, documents: Sequence[TokenIds]) -> Work:
        prompts = [(i, len(prompt)) for i, prompt in self._prompts(query, documents)]
        owners, lengths = zip(*prompts, strict=True)
        return single_prompts(lengths, [0] * len(lengths), owners, range(len(prompts)), self.slots)

    def _prompts(
        self, query: TokenIds, documents: Sequence[TokenIds]
    ) -> Iterator[tuple[int, TokenIds]]:
        """The prompts of all documents, each with the index of its document."""
        for index, document in enumerate(documents):
            for prompt in self._pairs.of(query, document):
                yield index, prompt


class _Work:
    """The prompts of one request, as many of them at a time as there are slots.

    `logits`, float32 [documents], are each the highest of its document's prompts; `tokens` have
    been computed for `prompts`, which have `waited` so many seconds for slots in all.
    """

    def __init__(
        self, readout: PooledReadout, classifier: Classifier, documents: int, on_turn: OnTurn
    ) -> None:
        self.logits = np.full(documents, -np.inf, np.float32)
        self.tokens = self.prompts = 0
        self.waited = 0.0
        self._readout = readout
        self._classifier = classifier
        self._on_turn = on_turn

    async def do(self, prompts: Iterator[tuple[int, TokenIds]]) -> None:
        """Score all `prompts`, which name their documents; raises `ModelError` if one fails."""
        await together(self._some(prompts) for _ in range(self._readout.slots))

    async def _some(self, prompts: Iterator[tuple[int, TokenIds]]) -> None:
        for index, prompt in prompts:
            asked = time.perf_counter()

            def begin(asked: float = asked) -> None:
                self.waited += time.perf_counter() - asked
                self._on_turn()

            state = await self._readout.read(prompt, begin)
            logit = self._classifier(state[np.newaxis])[0]
            self.logits[index] = max(self.logits[index], logit)
            self.tokens += len(prompt)
            self.prompts += 1
