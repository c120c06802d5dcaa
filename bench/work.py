"""What is asked of every contestant."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tokenizers import Tokenizer

from models.jina.prompt import SpecialTokens, prompt_segments

_WORDS = (
    "the quality meeting starts at two in the kitchen and soup is served at noon while people "
    "walk home through rain with umbrellas that somebody left under a table last winter"
).split()
_SPECIAL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|embed_token|>", "<|rerank_token|>")
_AFTER_RERANK_TOKEN = (
    "\n</query><|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"  # as the reference sends
)


@dataclass(frozen=True)
class Work:
    """Requests of `documents` documents with about `tokens` tokens each."""

    documents: int
    tokens: int

    @property
    def name(self) -> str:
        """As in a table: documents × tokens."""
        return f"{self.documents}×{self.tokens}"

    @property
    def prompt_tokens(self) -> int:
        """More than its prompt takes."""
        return self.documents * (self.tokens + 24) + 1024


@dataclass(frozen=True)
class Request:
    """A query and its documents."""

    query: str
    documents: list[str]

    @property
    def prompt(self) -> str:
        """The whole prompt as the reference implementation writes it."""
        segments = prompt_segments(SpecialTokens(0, 1, 2, 3), self.query, self.documents)
        texts = [s if isinstance(s, str) else _SPECIAL_TOKENS[s] for s in segments]
        return "".join([*texts, _AFTER_RERANK_TOKEN])


def make_request(work: Work, tokenizer: Tokenizer, seed: int) -> Request:
    """A request unlike those of other seeds from its query on, cut with the model's tokenizer."""
    source = random.Random(seed)
    texts = [" ".join(source.choices(_WORDS, k=work.tokens)) for _ in range(work.documents)]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    # Not decoded: an unknown letter would come back as the name of a special token.
    documents = [
        text[: encoding.offsets[: work.tokens][-1][1]]
        for text, encoding in zip(texts, encodings, strict=True)
    ]
    # Words alone, which every tokenizer knows.
    return Request(f"{' '.join(source.choices(_WORDS, k=4))} where was the umbrella?", documents)
