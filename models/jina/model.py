"""jina-reranker-v3 and those like it: a query and its documents to relevance scores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models import readiness
from models.jina.blocks import plan_blocks
from models.jina.projector import Projector, cosine
from models.jina.prompt import SpecialTokens, opening, prompt_segments
from models.llama.client import LlamaServer, Segments, TokenIds
from models.llama.readout.base import OnTurn, Readout, Rows, no_matter
from models.rerank import (
    Card,
    ConfigurationError,
    DoesNotFit,
    Limits,
    Ranking,
    Task,
    Timings,
    Vectors,
)
from models.texts import Text, Texts, positions
from models.work import OnWork, Work, any_work, common_prompts

# A text can take a few tokens more inside the prompt than alone, where BPE merges differ.
_SEAM_TOKENS = 4


@dataclass(frozen=True)
class _Prompt:
    """Token ids of one block, and the positions to read: after each document, after the query."""

    ids: TokenIds
    positions: list[int]


class JinaReranker:
    """A `RankingModel`: jina-reranker-v3 or v3.5 over one llama-server. Made by `connect`."""

    def __init__(
        self,
        card: Card,
        server: LlamaServer,
        readout: Readout,
        projector: Projector,
        tokens: SpecialTokens,
        limits: Limits,
        slots: int,
        marks_twice: bool,
    ) -> None:
        self.card = card
        self.slots = slots
        self._server = server
        self._readout = readout
        self._projector = projector
        self._tokens = tokens
        self._limits = limits
        self._marks_twice = marks_twice
        self._texts = Texts(server, tokens.embed)
        self._template_tokens = 0
        self._passage_tokens = 0
        self._most_document_tokens = 0

    @classmethod
    async def connect(
        cls,
        card: Card,
        server: LlamaServer,
        readout: Readout,
        projector: Projector,
        tokens: SpecialTokens,
        limits: Limits,
        marks_twice: bool = False,
    ) -> JinaReranker:
        """Check that the parts fit each other, before a request has to fail.

        A model that `marks_twice` has another prompt, see `prompt_segments`. Raises
        `ConfigurationError` with the numbers and the setting to change.
        """
        if projector.hidden_size != readout.width:
            raise ConfigurationError(
                f"the projector takes hidden states of size {projector.hidden_size}, the model "
                f"has size {readout.width}: they belong to different models"
            )
        slots = (await server.props()).total_slots
        reranker = cls(card, server, readout, projector, tokens, limits, slots, marks_twice)
        await reranker._check_vectors()
        await reranker._measure_template()
        return reranker

    async def _check_vectors(self) -> None:
        ids = await self._server.tokenize([*opening(self._tokens), self._tokens.embed])
        reading = await self._readout.read(ids, [len(ids) - 1])
        vectors = self._projector(reading.rows)
        if not np.isfinite(vectors).all() or not vectors.any():
            raise ConfigurationError(
                "every score would be 0 or no number: the GGUF or the projector is damaged, or "
                "they belong to different models; python -m app doctor checks both"
            )

    async def _measure_template(self) -> None:
        # A space for an instruction counts its tags; 111 passages have ids of every length.
        empty = await self._server.tokenize(self._segments("", [], " "))
        many = await self._server.tokenize(self._segments("", [""] * 111, " "))
        two_digits = await self._server.tokenize(self._segments("", [""] * 110, " "))
        self._template_tokens = len(empty) + _SEAM_TOKENS
        self._passage_tokens = len(many) - len(two_digits) + _SEAM_TOKENS
        query, document = self._limits.query_tokens, self._limits.document_tokens
        needed = self._template_tokens + 2 * query + self._passage_tokens + document
        self._most_document_tokens = self._readout.max_tokens - (needed - document)
        if needed > self._readout.max_tokens:
            raise ConfigurationError(
                f"llama-server takes {self._readout.max_tokens:,} tokens at once, but "
                f"{needed:,} are needed: {self._template_tokens:,} for the template, "
                f"twice {query:,} for the query and {needed - self._template_tokens - 2 * query:,} "
                "for a document. "
                f"Raise LLAMA_ARG_CTX_SIZE to at least {needed} or lower "
                "RERANKER_MAX_DOCUMENT_TOKENS."
            )

    @property
    def waiting(self) -> int:
        """See `RankingModel.waiting`."""
        return self._readout.waiting

    @property
    def max_tokens(self) -> int:
        """See `RankingModel.max_tokens`."""
        return self._readout.max_tokens

    def document_tokens(self, task: Task) -> int:
        """See `RankingModel.document_tokens`."""
        limit = task.max_document_tokens or self._limits.document_tokens
        return min(limit, self._most_document_tokens)

    async def count(self, texts: Sequence[str]) -> list[int]:
        """See `RankingModel.count`."""
        return await self._texts.count(texts)

    async def check(self) -> None:
        """See `RankingModel.check`."""
        await readiness.check(self._server, self._readout)

    async def rank(
        self, task: Task, on_turn: OnTurn = no_matter, on_work: OnWork = any_work
    ) -> Ranking:
        """See `RankingModel.rank`.

        Documents are cut to the task's limit instead of the service's as far as the context has
        room for that many tokens.
        """
        if not task.documents:
            empty = np.empty(0, np.float32)
            return Ranking(empty, vectors=empty.reshape(0, self._projector.output_size))
        arrived = time.perf_counter()
        limit = self.document_tokens(task)
        texts = await self._truncate(task.query, task.instruction or "", task.documents, limit)
        query, _, *documents = texts
        truncated = [i for i, document in enumerate(documents) if document.is_cut]
        task.check_cut(query.is_cut, truncated)
        prompts = await self._prompts(texts)
        on_work(self._work(prompts))
        tokenized = time.perf_counter()
        readings = [
            await self._readout.read(prompt.ids, prompt.positions, on_turn) for prompt in prompts
        ]
        read = time.perf_counter()
        scores, vectors = await asyncio.to_thread(self._score, [r.rows for r in readings])
        queue_for_slots = sum(reading.queue_seconds for reading in readings)
        return Ranking(
            scores,
            vectors=vectors,
            prompt_tokens=sum(len(prompt.ids) for prompt in prompts),
            reused_tokens=sum(reading.reused_tokens for reading in readings),
            timings=Timings(
                queue=queue_for_slots,
                tokenize=tokenized - arrived,
                model=read - tokenized - queue_for_slots,
                projector=time.perf_counter() - read,
            ),
            truncated=truncated,
            query_truncated=query.is_cut,
        )

    async def _truncate(
        self, query: str, instruction: str, documents: Sequence[str], document_limit: int
    ) -> list[Text]:
        """Query, instruction and documents, each cut to its limit."""
        texts = [query, instruction, *documents]
        most = self._readout.max_tokens
        limits = [self._limits.query_tokens, most, *[document_limit] * len(documents)]
        # What is short in bytes need not be counted.
        bounded = await self._texts.bounded(texts)
        if bounded and all(t.tokens <= limit for t, limit in zip(bounded, limits, strict=True)):
            fixed, passages = self._needed_tokens(bounded)
            if fixed + sum(passages) <= most:
                return bounded
        return await self._texts.cut(texts, limits)

    def _needed_tokens(self, texts: Sequence[Text]) -> tuple[int, list[int]]:
        """Tokens at most of a prompt without passages, and of each passage."""
        query, instruction, *documents = [text.tokens for text in texts]
        fixed = self._template_tokens + 2 * query + instruction
        return fixed, [tokens + self._passage_tokens for tokens in documents]

    async def _prompts(self, texts: Sequence[Text]) -> list[_Prompt]:
        fixed, passages = self._needed_tokens(texts)
        blocks = plan_blocks(passages, self._readout.max_tokens - fixed)
        return [prompt for block in blocks for prompt in await self._tokenize(texts, block)]

    async def _tokenize(self, texts: Sequence[Text], block: range) -> list[_Prompt]:
        """The prompt of one block, or of its halves should it come out longer than planned."""
        query, instruction, *documents = [text.content for text in texts]
        segments = self._segments(query, documents[block.start : block.stop], instruction)
        ids = await self._texts.tokenize(segments)
        if len(ids) <= self._readout.max_tokens:
            embeds = positions(ids, self._tokens.embed, len(block)).tolist()
            return [_Prompt(ids, [*embeds, len(ids) - 1])]
        if len(block) == 1:
            raise DoesNotFit(f"document {block.start} needs {len(ids):,} tokens with its query")
        middle = len(block) // 2
        return [
            *await self._tokenize(texts, block[:middle]),
            *await self._tokenize(texts, block[middle:]),
        ]

    def _work(self, prompts: Sequence[_Prompt]) -> Work:
        ends = [[position + 1 for position in prompt.positions] for prompt in prompts]
        return common_prompts(ends, [self._readout.known(prompt.ids) for prompt in prompts])

    def _segments(self, query: str, documents: Sequence[str], instruction: str) -> Segments:
        return prompt_segments(self._tokens, query, documents, instruction, self._marks_twice)

    def _score(self, states: Sequence[Rows]) -> tuple[Vectors, Vectors]:
        """Scores [documents] and projected documents [documents, output] of all blocks."""
        vectors = [self._projector(block) for block in states]
        # A block counts as much as its best document, mapped from -1…1 to 0…1 and never quite 0.
        weights = [(1 + cosine(block[:-1], block[-1]).max()) / 2 + 1e-9 for block in vectors]
        query = np.average([block[-1] for block in vectors], axis=0, weights=weights)
        documents = np.concatenate([block[:-1] for block in vectors])
        return cosine(documents, query.astype(np.float32)), documents
