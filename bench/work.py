"""What is asked of every contestant."""

from __future__ import annotations

import random
from dataclasses import dataclass

from models.llama_server import LlamaServer

_WORDS = (
    "the quality meeting starts at two in the kitchen and soup is served at noon while people "
    "walk home through rain with umbrellas that somebody left under a table last winter"
).split()


@dataclass(frozen=True)
class Work:
    """Requests of `documents` documents with about `tokens` tokens each."""

    documents: int
    tokens: int

    @property
    def name(self) -> str:
        """As in a table: documents × tokens."""
        return f"{self.documents}×{self.tokens}"


@dataclass(frozen=True)
class Request:
    """A query and its documents."""

    query: str
    documents: list[str]


async def make_request(work: Work, server: LlamaServer, seed: int) -> Request:
    """A request unlike those of other seeds from its query on, cut with the model's tokenizer."""
    source = random.Random(seed)
    documents = []
    for _ in range(work.documents):
        ids = await server.tokenize([" ".join(source.choices(_WORDS, k=work.tokens))])
        documents.append(await server.detokenize(ids[: work.tokens]))
    return Request(f"{seed} where was the umbrella?", documents)
