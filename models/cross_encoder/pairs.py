"""A query and a document as one prompt, and how both are cut to fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.llama.client import LlamaServer, LlamaServerError, TokenIds

# Of one document that is read in parts, as the reference of jina-reranker-v2 has them.
_OVERLAP, _OVERLAP_SHARE = 80, 4


@dataclass(frozen=True)
class Marks:
    """Ids of the special tokens around texts: `<s> query </s></s> document </s>`."""

    begin: int
    end: int

    COUNT = 4

    @classmethod
    async def of(cls, server: LlamaServer) -> Marks:
        """Look the ids up in the model.

        Raises `LlamaServerError` if it lacks one, or reads one out of plain text, which would let
        a document forge it.
        """
        texts = ("<s>", "</s>")
        ids = [await server.special_token(text) for text in texts]
        forged = set(ids) & set((await server.tokenize(texts)).tolist())
        if forged:
            raise LlamaServerError(f"the GGUF reads special tokens {forged} out of plain text")
        return cls(*ids)

    def pair(self, query: TokenIds, document: TokenIds) -> TokenIds:
        """The prompt of the two."""
        begin, end = np.array([self.begin]), np.array([self.end])
        return np.concatenate((begin, query, end, end, document, end))


@dataclass(frozen=True)
class Pairs:
    """Makes prompts of at most `most_tokens`, out of a query cut to `query_tokens`.

    A longer document is read in parts if the model `reads_all` of it, else its beginning.
    """

    marks: Marks
    most_tokens: int
    query_tokens: int
    reads_all: bool

    @property
    def most_query_tokens(self) -> int:
        """What a query is cut to: it takes no more than half a prompt, with two of the marks."""
        return min(self.query_tokens, self.most_tokens // 2 - Marks.COUNT // 2)

    def room(self, query_tokens: int) -> int:
        """Tokens of a document that fit beside a query of so many."""
        return self.most_tokens - query_tokens - Marks.COUNT

    def of(self, query: TokenIds, document: TokenIds) -> Iterator[TokenIds]:
        """The prompts that read the document."""
        room = self.room(len(query))
        starts = _starts(len(document), room) if self.reads_all else [0]
        for start in starts:
            yield self.marks.pair(query, document[start : start + room])


def _starts(length: int, room: int) -> Iterator[int]:
    """Where the parts of a document begin, each of `room` tokens if the document has as many."""
    step = room - min(_OVERLAP, room // _OVERLAP_SHARE)
    last = max(length - room, 0)
    yield from range(0, last, step)
    yield last
