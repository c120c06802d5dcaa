"""Rerankers that answer yes or no: a query and a document to the probability of yes."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from models import readiness
from models.llama.client import LlamaServer, TokenIds
from models.llama.readout.base import OnTurn, Reading, SerialReadout, no_matter
from models.rerank import (
    Card,
    ConfigurationError,
    DoesNotFit,
    Limits,
    Ranking,
    Task,
    Timings,
)
from models.sigmoid import sigmoid
from models.texts import Texts
from models.together import together
from models.work import OnWork, Work, any_work, single_prompts
from models.yes_no.prompt import (
    INSTRUCTION,
    SpecialTokens,
    after_document,
    before_document,
    document_text,
)

# A text can take a few tokens more inside the prompt than alone, where BPE merges differ.
_SEAM_TOKENS = 4
# Prompts of so many tokens are read before other requests have their turn.
_TURN_TOKENS = 4096


class YesNoReranker:
    """A `RankingModel` over one llama-server. Made by `connect`."""

    def __init__(
        self,
        card: Card,
        server: LlamaServer,
        readout: SerialReadout,
        tokens: SpecialTokens,
        limits: Limits,
        slots: int,
        ending: TokenIds,
        label_tokens: int,
    ) -> None:
        self.card = card
        self.slots = slots
        self._server = server
        self._readout = readout
        self._tokens = tokens
        self._limits = limits
        self._ending = ending
        self._label_tokens = label_tokens
        self._texts = Texts(server, tokens.im_end)

    @classmethod
    async def connect(
        cls,
        card: Card,
        server: LlamaServer,
        readout: SerialReadout,
        tokens: SpecialTokens,
        limits: Limits,
    ) -> YesNoReranker:
        """Check that the parts fit each other, before a request has to fail.

        Raises `ConfigurationError` with the numbers and the setting to change.
        """
        slots = (await server.props()).total_slots
        ending = await server.tokenize(after_document(tokens))
        beginning = await server.tokenize(before_document(tokens, "", INSTRUCTION))
        template = len(beginning) + len(ending) + _SEAM_TOKENS
        needed = template + limits.query_tokens + limits.document_tokens
        if needed > readout.max_tokens:
            raise ConfigurationError(
                f"llama-server takes {readout.max_tokens:,} tokens at once, but {needed:,} are "
                f"needed: {template:,} for the template, {limits.query_tokens:,} for the query "
                f"and {limits.document_tokens:,} for a document. Raise LLAMA_ARG_CTX_SIZE to at "
                f"least {needed * slots} or lower RERANKER_MAX_DOCUMENT_TOKENS."
            )
        label = len(await server.tokenize([document_text("")])) + _SEAM_TOKENS
        return cls(card, server, readout, tokens, limits, slots, ending, label)

    @property
    def waiting(self) -> int:
        """See `RankingModel.waiting`."""
        return self._readout.waiting

    @property
    def max_tokens(self) -> int:
        """See `RankingModel.max_tokens`."""
        return self._readout.max_tokens

    def document_tokens(self, task: Task) -> int:
        """See `RankingModel.document_tokens`; a few are left to the words before a document."""
        limit = task.max_document_tokens or self._limits.document_tokens
        return max(limit - self._label_tokens, 1)

    async def count(self, texts: Sequence[str]) -> list[int]:
        """See `RankingModel.count`."""
        return await self._texts.count(texts)

    async def check(self) -> None:
        """See `RankingModel.check`."""
        await readiness.check(self._server, self._readout)

    async def rank(
        self, task: Task, on_turn: OnTurn = no_matter, on_work: OnWork = any_work
    ) -> Ranking:
        """See `RankingModel.rank`. A document is cut, the end of the prompt is kept."""
        if not task.documents:
            empty = np.empty(0, np.float32)
            return Ranking(empty, logits=empty)
        arrived = time.perf_counter()
        prompts, shared, truncated, query_is_cut = await self._prompts(task)
        task.check_cut(query_is_cut, truncated)
        on_work(self._work(prompts, shared))
        tokenized = time.perf_counter()
        readings = await self._read(prompts, on_turn)
        logits = np.concatenate([reading.rows[:, 0] for reading in readings])
        spent = time.perf_counter() - tokenized
        # Documents that are read at once wait at once.
        waited = sum(r.queue_seconds for r in readings) / min(self.slots, len(prompts))
        return Ranking(
            sigmoid(logits),
            logits=logits,
            prompt_tokens=sum(map(len, prompts)),
            reused_tokens=sum(reading.reused_tokens for reading in readings),
            timings=Timings(
                queue=min(waited, spent),
                tokenize=tokenized - arrived,
                model=max(spent - waited, 0.0),
            ),
            truncated=truncated,
            query_truncated=query_is_cut,
        )

    async def _prompts(self, task: Task) -> tuple[list[TokenIds], int, list[int], bool]:
        """A prompt for each document, and the tokens with which all begin.

        With them the indices of the documents cut, and whether the query was.
        """
        query, instruction = await self._texts.cut(
            [task.query, task.instruction or INSTRUCTION],
            [self._limits.query_tokens, self._readout.max_tokens],
        )
        beginning = await self._texts.tokenize(
            before_document(self._tokens, query.content, instruction.content)
        )
        limit = task.max_document_tokens or self._limits.document_tokens
        texts = [document_text(document) for document in task.documents]
        heads = await self._texts.heads(texts, limit + 1)
        truncated = [i for i, head in enumerate(heads) if len(head) > limit]
        documents = [head[:limit] for head in heads]
        room = self._readout.max_tokens - len(beginning) - len(self._ending)
        for i, document in enumerate(documents):
            if len(document) > room:
                raise DoesNotFit(
                    f"document {i} needs {len(document):,} tokens and {max(room, 0):,} are left "
                    "beside the query and the instruction"
                )
        prompts = [np.concatenate([beginning, document, self._ending]) for document in documents]
        return prompts, len(beginning), truncated, query.is_cut

    def _work(self, prompts: Sequence[TokenIds], shared: int) -> Work:
        lengths = [len(prompt) for prompt in prompts]
        known, of_turn = [], []
        for number, turn in enumerate(turns(lengths, self.slots)):
            # One after the other through a slot, all but the first find their beginning there.
            known += [self._readout.known(prompts[turn.start]), *[shared] * (len(turn) - 1)]
            of_turn += [number] * len(turn)
        return single_prompts(lengths, known, range(len(prompts)), of_turn, self.slots)

    async def _read(self, prompts: Sequence[TokenIds], on_turn: OnTurn) -> list[Reading]:
        """Read the answer at the end of each prompt, as many at once as there are slots."""
        readings: dict[int, list[Reading]] = {}
        left = iter(turns([len(prompt) for prompt in prompts], self.slots))

        async def work() -> None:
            for turn in left:
                readings[turn.start] = await self._readout.read_ends(
                    prompts[turn.start : turn.stop], on_turn
                )

        await together(work() for _ in range(min(self.slots, len(prompts))))
        return [reading for start in sorted(readings) for reading in readings[start]]


def turns(lengths: Sequence[int], slots: int) -> list[range]:
    """Which prompts of `lengths` tokens a slot reads in a row, keeping what they share meanwhile.

    A turn ends where others that wait have waited long enough, or where `slots` share the work.
    """
    most = -(-len(lengths) // slots)
    found: list[range] = []
    start = tokens = 0
    for i, length in enumerate(lengths):
        if i > start and (i - start == most or tokens + length > _TURN_TOKENS):
            found.append(range(start, i))
            start, tokens = i, 0
        tokens += length
    return [*found, range(start, len(lengths))]
